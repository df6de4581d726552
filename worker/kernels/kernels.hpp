// Adding vectors: the arithmetic of every reduction, with the widest instructions this processor
// has, chosen at run time.
//
// Sums are made in float, source by source in the order given, and rounded to nearest even once:
// every level gives the same bits (of a NaN, only that it is one).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "worker/reducer.hpp"

namespace railwright::worker {

enum class KernelLevel : std::uint8_t { portable, avx2, avx512 };
std::string to_string(KernelLevel level);
bool is_available(KernelLevel level);
KernelLevel best_level();

using Sources = std::span<const std::byte* const>;
using Targets = std::span<std::byte* const>;

// targets[t][i] = sum over s of sources[s][i], for every t. `size` bytes hold whole elements; at
// least one source. A target may be a source; else nothing may overlap.
void sum_into(DataType type, Sources sources, Targets targets, std::size_t size,
              KernelLevel level = best_level());

}  // namespace railwright::worker
