// What is fuzzed: each takes any bytes, and ends the process when a law does not hold.
#pragma once

#include <string>
#include <vector>

namespace railwright::test {

struct Target {
  const char* name;
  std::vector<std::string> corpus;
  void (*run)(const std::string& bytes);
};

// frames: the codec; leaders: the protocol behind it; http: requests; jobs: what is submitted.
std::vector<Target> targets();

}  // namespace railwright::test
