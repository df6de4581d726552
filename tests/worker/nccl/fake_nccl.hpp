// What a test may ask of the double of NCCL, found in it with dlsym.
#pragma once

#include <string>
#include <vector>

struct FakeNccl {
  // ---- what is to happen
  int version = 22809;
  int polls_in_progress = 3;  // how often a new communicator says that it is in progress
  int fail_at = -1;           // the how-manieth collective (from 0) of rank `fail_rank` fails
  int fail_rank = 0;
  int lose_at = -1;  // from this collective on nothing ends
  // ---- what was seen
  std::vector<std::string> calls;  // of all ranks, in the order in which they came
  int aborted = 0, destroyed = 0;
};
extern "C" FakeNccl* fake_nccl();
