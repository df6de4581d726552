// What is learned: a file, byte by byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "topology/result.hpp"

namespace railwright::worker::train {

class Text {
 public:
  explicit Text(std::string bytes) : bytes_(std::move(bytes)) {}
  // `sequence` + 1 bytes from a place that depends on (seed, step, sample) alone: inputs are the
  // first `sequence`, targets the last. The text is longer than that.
  std::vector<int> sample(std::uint64_t seed, std::int64_t step, std::int64_t sample,
                          std::int64_t sequence) const;
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Fails when it cannot be read or is too short for one sample.
Result<Text> load_text(const std::string& path, std::int64_t sequence);

}  // namespace railwright::worker::train
