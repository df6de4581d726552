#include "worker/train/parameters.hpp"

#include <cassert>

#include "worker/train/random.hpp"

namespace railwright::worker::train {

int Parameters::add(Parameter parameter) {
  assert(parameter.part.row + parameter.part.rows <= parameter.rows);
  assert(parameter.part.column + parameter.part.columns <= parameter.columns);
  parameter.offset = size_;
  size_ += static_cast<std::size_t>(parameter.part.count());
  parameters_.push_back(std::move(parameter));
  return static_cast<int>(parameters_.size()) - 1;
}

void Parameters::close_bucket(int parts) {
  const std::size_t begin = buckets_.empty() ? 0 : buckets_.back().end;
  const auto multiple = static_cast<std::size_t>(parts);
  size_ = begin + (size_ - begin + multiple - 1) / multiple * multiple;
  if (size_ > begin) buckets_.push_back({begin, size_});
}

void Parameters::fill(std::uint64_t seed) {
  values_.assign(size_, 0);
  gradients_.assign(size_, 0);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& p = parameters_[i];
    const std::uint64_t key = key_of(seed, p.name);
    View values = value(static_cast<int>(i));
    for (std::int64_t row = 0; row < p.part.rows; ++row)
      for (std::int64_t column = 0; column < p.part.columns; ++column) {
        const std::int64_t index = (p.part.row + row) * p.columns + p.part.column + column;
        values(row, column) =
            p.spread > 0 ? uniform(key, static_cast<std::uint64_t>(index), p.spread) : p.fill;
      }
  }
}

ConstView Parameters::value(int index) const {
  if (index < 0) return {nullptr, 0, 0};
  const Parameter& p = parameters_[static_cast<std::size_t>(index)];
  return {values_.data() + p.offset, p.part.rows, p.part.columns};
}

View Parameters::value(int index) {
  if (index < 0) return {nullptr, 0, 0};
  const Parameter& p = parameters_[static_cast<std::size_t>(index)];
  return {values_.data() + p.offset, p.part.rows, p.part.columns};
}

View Parameters::gradient(int index) {
  if (index < 0) return {nullptr, 0, 0};
  const Parameter& p = parameters_[static_cast<std::size_t>(index)];
  return {gradients_.data() + p.offset, p.part.rows, p.part.columns};
}

}  // namespace railwright::worker::train
