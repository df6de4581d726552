// What patterns of connections put on links, pattern after pattern. Internal to the loads of
// phases.
//
// Bundles of the router (most of them a link) are kept in groups that all patterns so far load
// alike, and a pattern splits them by what it puts on them: a partition that is refined. A ring
// over a million ranks loads ten million links in five different ways, so what a phase does is
// asked of groups, not of links. Exact: two bundles are in one group only if every pattern gives
// them bit for bit the same load.
#pragma once

#include <cassert>
#include <cstdlib>
#include <memory>
#include <new>
#include <unordered_map>
#include <vector>

#include "topology/huge_pages.hpp"
#include "topology/routing.hpp"

namespace railwright::collectives {

// An array of zeros of which the pages that nobody touches cost nothing: huge ones where there are
// any, for what is touched at all is mostly touched all over.
template <class T>
class Zeros {
 public:
  explicit Zeros(std::size_t count)
      : data_(static_cast<T*>(std::calloc(count, sizeof(T))), &std::free) {
    if (data_ == nullptr && count > 0) throw std::bad_alloc();
    topology::prefer_huge_pages(data_.get(), count * sizeof(T));
  }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  std::unique_ptr<T[], decltype(&std::free)> data_;
};

class LinkLoads {
 public:
  explicit LinkLoads(const topology::Router& router);

  // Adds to the pattern that is open.
  void add(topology::BundleId bundle, double load) {
    double& sum = open_[bundle.index];
    if (sum == 0) touch(bundle.index);
    sum += load;
  }
  // Ends the open pattern; patterns count from 0.
  int close();
  // Forgets the open pattern.
  void drop();
  // Forgets everything, and takes no time but for what was loaded.
  void clear();

  int bundles() const { return bundles_; }
  int patterns() const { return patterns_; }
  // 0: loaded by no pattern. Others 1 .. groups()-1.
  int groups() const { return static_cast<int>(groups_.size()); }
  int group_of(int bundle) const { return group_[bundle]; }
  // What each pattern puts on each link of the bundles in the group: `loads` by pattern.
  void loads_of(int group, std::vector<double>& loads) const;
  // The bundles that any pattern loads, each once.
  template <class Do>
  void for_loaded(Do act) const {
    if (loaded_listed_) {
      for (const int bundle : loaded_) act(bundle);
      return;
    }
    for (int bundle = 0; bundle < bundles_; ++bundle)
      if (group_[bundle] != 0) act(bundle);
  }

 private:
  struct Group {
    int parent = 0;
    int pattern = -1;
    double load = 0;
  };
  struct Key {
    int parent;
    double load;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };

  void touch(int bundle) {
    if (listed_) touched_.push_back(bundle);
    if (touched_.size() > most_listed_) listed_ = false;
  }
  template <class Do>
  void for_touched(Do act);
  int child_of(int parent, double load);

  int bundles_;
  Zeros<double> open_;
  Zeros<int> group_;
  // Loaded bundles of the open pattern, a few more than once; no list when there are too many.
  std::vector<int> touched_;
  std::size_t most_listed_;
  bool listed_ = true;
  std::vector<int> loaded_;  // by any pattern; no list when there are too many
  bool loaded_listed_ = true;
  std::vector<Group> groups_{1};
  std::unordered_map<Key, int, Hash> children_;  // of the pattern that closes; only looked up
  int patterns_ = 0;
};

}  // namespace railwright::collectives
