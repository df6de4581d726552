// What a training job has stored: the leader reports it, and the next launch goes on from it.
#pragma once

#include <cstdint>
#include <string>

namespace railwright::coordinator {

// Steps of the last checkpoint in a folder of `railwright run --checkpoint`; 0: none. Only what has
// its manifest is a checkpoint (docs/training.md).
std::int64_t stored_steps(const std::string& folder);

}  // namespace railwright::coordinator
