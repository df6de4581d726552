// Patterns that repeat themselves over a fabric: what the ranks of one period of the router do, the
// next ones do a period further on. Only two periods and the last are traced; all others are
// counted. Internal to the loads of phases.
#pragma once

#include <optional>
#include <vector>

#include "collectives/phase_loads/link_loads.hpp"

namespace railwright::collectives {

// A ring over a million ranks has eight million hops on its eight channels; all but a hundred
// thousand are those of the period before, moved on (Router::move_between). Nothing is assumed of
// the pattern: a hop that is not where it should be ends the attempt.
class Repeats {
 public:
  // Nothing where the members are not evenly spaced, or are too few periods.
  static std::optional<Repeats> among(const std::vector<topology::AcceleratorId>& members,
                                      const topology::Router& router);

  void begin_pattern();
  // Hops come channel by channel. Whether one repeats, and then its latency; if not it has to be
  // traced, and to be told to `add`, unless the attempt has failed.
  bool repeated(int source, int target, Seconds& latency) {
    if (source < first_ || source >= first_ + ranks_) {  // they mostly come in order
      period_ = source / ranks_;
      first_ = period_ * ranks_;
    }
    if (period_ < 2 || period_ > last_copy_) return false;
    const Hop& hop = hops_[static_cast<std::size_t>(source - first_)];
    if (hop.target < 0 || hop.target + first_ - ranks_ != target) {
      failed_ = true;
      return false;
    }
    ++copied_;
    latency = hop.latency;
    return true;
  }
  void add(int source, int target, Seconds latency, const topology::Trace& way);
  void end_channel();
  bool failed() const { return failed_; }
  // Adds what the hops that were not traced put on bundles. False: the attempt has failed.
  bool end_pattern(LinkLoads& loads);

 private:
  struct Hop {
    int target = -1;
    Seconds latency;
  };
  struct Part {
    int bundle, stride;  // the same of the next period is so much further
    double load;
  };

  Repeats(const topology::Router& router, topology::Move near, topology::Move far, int ranks,
          int last_copy);
  bool find_strides(std::vector<Part>& parts) const;

  const topology::Router* router_;
  topology::Move near_, far_;  // of the second period: by one, and onto the last that is copied
  int ranks_;                  // of a period
  int last_copy_;              // periods 2 .. last_copy_ are
  bool failed_ = false;
  int period_ = 0, first_ = 0;  // of the latest hop; its first rank
  std::vector<Hop> hops_;       // of the second period in the channel, by source
  std::int64_t noted_ = 0, copied_ = 0;
  std::vector<topology::BundleShare> parts_;  // of the second period, all channels
};

}  // namespace railwright::collectives
