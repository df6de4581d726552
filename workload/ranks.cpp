// Rank numbers: a mixed-radix count over the dimensions, first entry of the order fastest.
#include <cassert>

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
    case Dimension::ep:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

int degree_of(const Degrees& degrees, Dimension dimension) {
  switch (dimension) {
    case Dimension::tp:
      return degrees.tp;
    case Dimension::cp:
      return degrees.cp;
    case Dimension::dp:
      return degrees.dp;
    case Dimension::pp:
      return degrees.pp;
    case Dimension::ep:
      return 1;
  }
  return 1;
}

Coordinates coordinates_of(std::int64_t rank, const Degrees& degrees, const RankOrder& order) {
  assert(rank >= 0 && rank < degrees.world());
  Coordinates coordinates;
  for (const Dimension dimension : order) {
    const int degree = degree_of(degrees, dimension);
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
    stride *= degree_of(degrees, dimension);
  }
  assert(rank >= 0 && rank < degrees.world());
  return rank;
}

std::int64_t stride_of(Dimension dimension, const Degrees& degrees, const RankOrder& order) {
  std::int64_t stride = 1;
  for (const Dimension faster : order) {
    if (faster == dimension) return stride;
    stride *= degree_of(degrees, faster);
  }
  assert(false && "a rank order names every dimension");
  return stride;
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
