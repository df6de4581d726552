// What `--workload train` is told beside the plan.
#pragma once

#include <string>

#include "worker/train/train.hpp"

namespace railwright::worker::train {

struct Options {
  Settings settings;
  std::string text;             // a file
  std::string device = "auto";  // of the products: cpu, gpu; auto: GPUs where every rank has one
  std::string checkpoint;       // a folder that all ranks see; empty: none
  std::int64_t every = 0;       // steps between checkpoints; 0: after the last step alone
  int keep = 0;                 // so many of the newest checkpoints; 0: all
  bool resume = false;
  std::string stop_file;  // once it is there, the run ends behind its step, with a checkpoint
};

}  // namespace railwright::worker::train
