// The least of many values, and the least but one place: a tournament. set and lowest_but take
// O(log n).
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace railwright::emulator {

class MinTree {
 public:
  void reset(const std::vector<double>& values) {
    size_ = values.size();
    node_.assign(size_, 0);
    node_.insert(node_.end(), values.begin(), values.end());
    for (std::size_t i = size_; i-- > 1;) node_[i] = std::min(node_[2 * i], node_[2 * i + 1]);
  }
  void set(int place, double value) {
    std::size_t i = size_ + static_cast<std::size_t>(place);
    for (node_[i] = value; i > 1; i /= 2) node_[i / 2] = std::min(node_[i], node_[i ^ 1]);
  }
  // The place of the least value but this one; at least two values.
  int lowest_place_but(int place) const {
    double lowest = std::numeric_limits<double>::infinity();
    std::size_t at = (size_ + static_cast<std::size_t>(place)) ^ 1;
    for (std::size_t i = size_ + static_cast<std::size_t>(place); i > 1; i /= 2)
      if (node_[i ^ 1] < lowest) lowest = node_[at = i ^ 1];
    while (at < size_) at = 2 * at + (node_[2 * at] != node_[at]);
    return static_cast<int>(at - size_);
  }
  double value(int place) const { return node_[size_ + static_cast<std::size_t>(place)]; }

 private:
  std::size_t size_ = 0;
  std::vector<double> node_;  // 1: the root; i's children are 2 i and 2 i + 1; leaves from size_
};

}  // namespace railwright::emulator
