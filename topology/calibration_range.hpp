// Where a calibration is used for sizes that nobody measured.
//
//   UsedRanges used(calibration);
//   used.add("nvlink-4", "link_efficiency", 64e6);          // an all-reduce of 64 MB over NVLink
//   for (const std::string& note : used.notes()) ...        // "... was measured from 1 GiB to ..."
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "topology/calibration.hpp"

namespace railwright::topology {

class UsedRanges {
 public:
  // `calibration` must outlive it.
  explicit UsedRanges(const Calibration& calibration) : calibration_(calibration) {}
  // The value of this subject (or of "*") was used for a message or a problem of `size`, in the
  // unit of its valid range.
  void add(std::string_view subject, std::string_view parameter, double size);
  // A sentence for each entry that was used outside of its valid range, in the order of the file.
  std::vector<std::string> notes() const;

 private:
  struct Range {
    double low = 0, high = 0;
  };
  const Calibration& calibration_;
  std::map<const CalibrationEntry*, Range> outside_;  // entries of one array: in its order
};

}  // namespace railwright::topology
