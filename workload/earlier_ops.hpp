// Which earlier ops an op waits for, as indices: mostly one or two, and these without memory of
// their own. A search writes and drops thousands of programs of thousands of ops.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

namespace railwright::workload {

class EarlierOps {
 public:
  EarlierOps() = default;
  EarlierOps(std::initializer_list<int> ops) : EarlierOps(std::span<const int>(ops)) {}
  EarlierOps(const std::vector<int>& ops) : EarlierOps(std::span<const int>(ops)) {}

  const int* begin() const { return far_.empty() ? near_.data() : far_.data(); }
  const int* end() const { return begin() + size(); }
  std::size_t size() const { return far_.empty() ? count_ : far_.size(); }
  bool empty() const { return size() == 0; }
  int front() const { return *begin(); }
  void push_back(int op) {
    if (far_.empty() && count_ < near_.size()) {
      near_[count_++] = op;
      return;
    }
    if (far_.empty()) far_.assign(near_.begin(), near_.end());
    far_.push_back(op);
  }
  bool operator==(const EarlierOps& other) const {
    return std::equal(begin(), end(), other.begin(), other.end());
  }

 private:
  explicit EarlierOps(std::span<const int> ops) {
    for (const int op : ops) push_back(op);
  }

  std::array<int, 2> near_{};
  std::size_t count_ = 0;  // of them that are used
  std::vector<int> far_;   // all of them, where there are more
};

}  // namespace railwright::workload
