// The 1F1B schedule in closed form: how long m micro-batches take through p stages.
//
// A send blocks the compute that follows it, as in Megatron-LM. With equal stages and free sends
// this is the textbook (m - 1) (F + B) + p (F + B). Unequal stages and sends that take time are
// played exactly for the first micro-batches; after that the schedule is periodic, and each
// micro-batch more costs one cycle, the maximum cycle mean of the schedule's max-plus system:
//
//   cycle = max over stages i <= j of
//           (sum of F + B over i..j, twice the sends between them, once those that leave i..j)
//           / (j - i + 1)
//
// Stage i holds at most p - i micro-batches, so a round trip from i to j and back is paid once per
// j - i + 1 micro-batches; i = j is a stage that is always busy.
#pragma once

#include <cstdint>
#include <vector>

namespace railwright::coordinator {

// Seconds of one micro-batch on one stage.
struct StageTime {
  double forward = 0;
  double backward = 0;
  double send = 0;  // of activations to the next stage, or of gradients back from it
  bool operator==(const StageTime&) const = default;
};

// Seconds of each additional micro-batch once the pipeline is full.
double pipeline_cycle(const std::vector<StageTime>& stages);

// When each stage ends its last backward, seconds from the start of the step.
std::vector<double> last_backward_ends(const std::vector<StageTime>& stages,
                                       std::int64_t micro_batches);

}  // namespace railwright::coordinator
