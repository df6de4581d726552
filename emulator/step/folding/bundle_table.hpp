// A number per bundle of a router, where a step uses few of a large cluster's. Private to the
// emulator.
#pragma once

#include <cstddef>
#include <vector>

namespace railwright::emulator {

// -1 until it is set. Pages of bundles that nobody sets take neither memory nor time.
class BundleTable {
 public:
  explicit BundleTable(int bundles = 0)
      : pages_((static_cast<std::size_t>(bundles) + page - 1) / page) {}

  int operator[](int bundle) const {
    const std::vector<int>& numbers = pages_[static_cast<std::size_t>(bundle) / page];
    return numbers.empty() ? -1 : numbers[static_cast<std::size_t>(bundle) % page];
  }
  int& at(int bundle) {
    std::vector<int>& numbers = pages_[static_cast<std::size_t>(bundle) / page];
    if (numbers.empty()) numbers.assign(page, -1);
    return numbers[static_cast<std::size_t>(bundle) % page];
  }
  // act(bundle, number) for all that are not -1, bundles ascending; it may set others.
  template <class Do>
  void for_set(Do act) {
    for (std::size_t p = 0; p < pages_.size(); ++p)
      for (std::size_t i = 0; i < pages_[p].size(); ++i)
        if (pages_[p][i] != -1) act(static_cast<int>(p * page + i), pages_[p][i]);
  }

 private:
  static constexpr std::size_t page = 1024;
  std::vector<std::vector<int>> pages_;
};

}  // namespace railwright::emulator
