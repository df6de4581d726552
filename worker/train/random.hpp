// Numbers that depend on what they are for and on nothing else: (seed, name, index) always gives
// the same one, whichever rank asks and in which order.
#pragma once

#include <cstdint>
#include <string_view>

namespace railwright::worker::train {

std::uint64_t key_of(std::uint64_t seed, std::string_view name);
// 64 bits of the `index`-th draw of a key.
std::uint64_t draw(std::uint64_t key, std::uint64_t index);
// Uniform in [-spread, spread).
float uniform(std::uint64_t key, std::uint64_t index, float spread);

}  // namespace railwright::worker::train
