// Memory that the ranks of one machine share: a segment per rank, mapped by all of them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "topology/units.hpp"

namespace railwright::worker {

struct Segments {
  std::vector<int> ranks;                    // of the world, ascending
  int index = 0;                             // which of them this one is
  std::vector<std::span<std::byte>> memory;  // by index, as mapped here, page-aligned, zeroed
  std::shared_ptr<void> mapping;             // frees it with the last copy of this value
};

// For ranks that are threads of one process: what each of `ranks` would get.
std::vector<Segments> make_thread_segments(const std::vector<int>& ranks, Bytes each);

}  // namespace railwright::worker
