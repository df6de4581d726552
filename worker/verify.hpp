// Inputs whose sum is exact in any order, so that every algorithm and every library must agree bit
// for bit (the idea of nccl-tests' verifiable inputs).
//
// The value of (element, rank) is an integer times a power of two that all ranks share. Over any
// subset of the ranks the integers add up to at most 2^m, m = 24, 11 or 8 bits of the type's
// mantissa, so no partial sum is ever rounded. Which rank plays which role changes from element to
// element; a contribution that is skipped, doubled or put elsewhere shows. Where there are more
// ranks than 2^m, some contributions to an element are 0, others elsewhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "collectives/schedule.hpp"
#include "worker/reducer.hpp"

namespace railwright::worker {

class ExactInputs {
 public:
  ExactInputs(std::uint64_t seed, int ranks, DataType type);
  float value(std::uint64_t element, int rank) const;
  float sum(std::uint64_t element) const;  // over all ranks, O(1)

 private:
  struct Draw {
    int pattern = 0, rotation = 0;
    float scale = 1;
  };
  Draw draw(std::uint64_t element) const;

  std::uint64_t seed_;
  int ranks_;
  std::vector<std::int32_t> values_;  // per pattern and role
  std::vector<std::int64_t> sums_;    // per pattern
};

// What `rank` holds before the collective; parts that carry no input are poisoned.
void fill_inputs(const collectives::Schedule& schedule, int rank, const ExactInputs& inputs,
                 DataType type, std::span<std::byte> buffer);
// Elements that differ from what the operation promises `rank`; 0 is right.
std::uint64_t count_wrong(const collectives::Schedule& schedule, int rank,
                          const ExactInputs& inputs, DataType type,
                          std::span<const std::byte> buffer);

}  // namespace railwright::worker
