#include "worker/reducer.hpp"

#include <cassert>

#include "worker/kernels/kernels.hpp"

namespace railwright::worker {

Reducer::Reducer(DataType type, ReduceOp op) : type_(type), op_(op) {}

void Reducer::operator()(std::span<std::byte> target, std::span<const std::byte> source) const {
  assert(target.size() == source.size() && target.size() % size_of(type_) == 0);
  assert(op_ == ReduceOp::sum);
  const std::byte* const sources[] = {target.data(), source.data()};
  std::byte* const targets[] = {target.data()};
  sum_into(type_, sources, targets, target.size());
}

}  // namespace railwright::worker
