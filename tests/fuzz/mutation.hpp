// Inputs that are nearly right: seeds, changed at random. The same seed and run give the same
// bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace railwright::test {

std::string mutated(const std::vector<std::string>& corpus, std::uint64_t seed, std::uint64_t run);

}  // namespace railwright::test
