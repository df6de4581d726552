// Rank numbers: a mixed-radix count over the dimensions, first entry of the order fastest.
#include <algorithm>
#include <cassert>
#include <initializer_list>

#include "workload/degrees.hpp"

namespace railwright::workload {

namespace {

// Expert parallelism lies inside data parallelism: it has no coordinate of its own.
int* coordinate_in(Coordinates& coordinates, Dimension dimension) {
  switch (dimension) {
    case Dimension::tp:
      return &coordinates.tp;
    case Dimension::cp:
      return &coordinates.cp;
    case Dimension::dp:
      return &coordinates.dp;
    case Dimension::pp:
      return &coordinates.pp;
    default:
      return nullptr;
  }
}

std::int64_t coordinate_stride(Dimension dimension, const Degrees& degrees,
                               const RankOrder& order) {
  std::int64_t stride = 1;
  for (const Dimension faster : order) {
    if (faster == dimension) return stride;
    stride *= extent_of(degrees, faster);
  }
  assert(false && "a rank order names every dimension");
  return stride;
}

// The smallest stride of those dimensions that have more than one rank, and their ranks.
struct Block {
  std::int64_t stride = 1, ranks = 1;
  bool even = true;  // the ranks are `stride` apart
};
Block block_of(std::initializer_list<Dimension> dimensions, const Degrees& degrees,
               const RankOrder& order) {
  std::int64_t lowest = INT64_MAX, end = 1, ranks = 1;
  for (const Dimension dimension : dimensions) {
    const int extent = extent_of(degrees, dimension);
    if (extent == 1) continue;
    const std::int64_t stride = coordinate_stride(dimension, degrees, order);
    lowest = std::min(lowest, stride);
    end = std::max(end, stride * extent);
    ranks *= extent;
  }
  if (ranks == 1) return {};
  return {lowest, ranks, lowest * ranks == end};
}

Block data_block(const Degrees& degrees, const RankOrder& order) {
  return block_of({Dimension::cp, Dimension::dp}, degrees, order);
}
Block expert_block(const Degrees& degrees, const RankOrder& order) {
  return block_of({Dimension::tp, Dimension::cp, Dimension::dp}, degrees, order);
}

}  // namespace

int extent_of(const Degrees& degrees, Dimension dimension) {
  switch (dimension) {
    case Dimension::tp:
      return degrees.tp;
    case Dimension::cp:
      return degrees.cp;
    case Dimension::dp:
      return degrees.dp;
    case Dimension::pp:
      return degrees.pp;
    default:
      return 1;
  }
}

int degree_of(const Degrees& degrees, Dimension dimension) {
  const int data = degrees.dp * degrees.cp;
  switch (dimension) {
    case Dimension::ep:
      return degrees.ep;
    case Dimension::etp:
      return degrees.etp;
    case Dimension::edp:
      return degrees.tp * data / (degrees.ep * degrees.etp);
    case Dimension::dp_cp:
      return data;
    case Dimension::shard:
      return degrees.shard_ranks();
    case Dimension::replica:
      return data / degrees.shard_ranks();
    default:
      return extent_of(degrees, dimension);
  }
}

bool has_groups(const Degrees& degrees, const RankOrder& order) {
  const bool experts = degrees.ep > 1 || degrees.etp > 1;
  return data_block(degrees, order).even && (!experts || expert_block(degrees, order).even);
}

Coordinates coordinates_of(std::int64_t rank, const Degrees& degrees, const RankOrder& order) {
  assert(rank >= 0 && rank < degrees.world());
  Coordinates coordinates;
  for (const Dimension dimension : order) {
    const int degree = extent_of(degrees, dimension);
    if (int* coordinate = coordinate_in(coordinates, dimension))
      *coordinate = static_cast<int>(rank % degree);
    rank /= degree;
  }
  return coordinates;
}

std::int64_t rank_of(const Coordinates& coordinates, const Degrees& degrees,
                     const RankOrder& order) {
  Coordinates copy = coordinates;
  std::int64_t rank = 0, stride = 1;
  for (const Dimension dimension : order) {
    const int* coordinate = coordinate_in(copy, dimension);
    if (coordinate != nullptr) rank += stride * *coordinate;
    stride *= extent_of(degrees, dimension);
  }
  assert(rank >= 0 && rank < degrees.world());
  return rank;
}

std::int64_t stride_of(Dimension dimension, const Degrees& degrees, const RankOrder& order) {
  switch (dimension) {
    case Dimension::dp_cp:
    case Dimension::shard:
      return data_block(degrees, order).stride;
    case Dimension::replica:
      return data_block(degrees, order).stride * degrees.shard_ranks();
    case Dimension::etp:
      return expert_block(degrees, order).stride;
    case Dimension::ep:
      return expert_block(degrees, order).stride * degrees.etp;
    case Dimension::edp:
      return expert_block(degrees, order).stride * degrees.etp * degrees.ep;
    default:
      return coordinate_stride(dimension, degrees, order);
  }
}

std::vector<std::int64_t> group_of(Dimension dimension, std::int64_t rank, const Degrees& degrees,
                                   const RankOrder& order) {
  const std::int64_t stride = stride_of(dimension, degrees, order);
  const int degree = degree_of(degrees, dimension);
  const std::int64_t first = rank - rank / stride % degree * stride;
  std::vector<std::int64_t> members(static_cast<std::size_t>(degree));
  for (int i = 0; i < degree; ++i) members[static_cast<std::size_t>(i)] = first + i * stride;
  return members;
}

}  // namespace railwright::workload
