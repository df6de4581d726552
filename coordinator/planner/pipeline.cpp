#include "coordinator/planner/pipeline.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

namespace railwright::coordinator {

namespace {

constexpr double unknown = -1;

// Plays the schedule op by op; small enough to be run for every point of a search.
class Play {
 public:
  Play(const std::vector<StageTime>& stages, std::int64_t micro_batches)
      : stages_(stages),
        micro_batches_(micro_batches),
        forward_(stages.size() * static_cast<std::size_t>(micro_batches), unknown),
        backward_(forward_),
        free_(stages.size(), 0),
        next_(stages.size(), 0) {}

  std::vector<double> run() {
    // Forwards reach down the stages and backwards up, so two sweeps per round suffice to move on.
    const auto last = static_cast<std::int64_t>(stages_.size()) - 1;
    const std::int64_t ops = 2 * micro_batches_;
    while (next_[0] < ops) {
      for (std::int64_t stage = 0; stage <= last; ++stage) advance(stage);
      for (std::int64_t stage = last; stage >= 0; --stage) advance(stage);
    }
    std::vector<double> ends;
    for (std::int64_t stage = 0; stage <= last; ++stage)
      ends.push_back(backward_[at(stage, micro_batches_ - 1)]);
    return ends;
  }

 private:
  std::size_t at(std::int64_t stage, std::int64_t micro_batch) const {
    return static_cast<std::size_t>(stage * micro_batches_ + micro_batch);
  }

  // Position in the program of a stage -> micro-batch and direction: p - i - 1 forwards, then one
  // forward and one backward in turn, then the remaining backwards.
  std::pair<std::int64_t, bool> op_at(std::int64_t stage, std::int64_t position) const {
    const auto depth = static_cast<std::int64_t>(stages_.size()) - stage - 1;
    const std::int64_t warm_up = std::min(depth, micro_batches_);
    const std::int64_t steady = position - warm_up;
    if (steady < 0) return {position, false};
    if (steady >= 2 * (micro_batches_ - warm_up)) return {position - micro_batches_, true};
    return {steady / 2 + (steady % 2 == 0 ? warm_up : 0), steady % 2 != 0};
  }

  // Of a message over the border below or above a stage; the ends of the pipeline have none.
  double send_time(std::int64_t stage, bool is_backward) const {
    const std::int64_t border = is_backward ? stage - 1 : stage;
    const bool there = border >= 0 && border + 1 < static_cast<std::int64_t>(stages_.size());
    return there ? stages_[static_cast<std::size_t>(border)].send : 0;
  }

  // When what an op needs from its neighbour is there.
  double arrival(std::int64_t stage, std::int64_t micro_batch, bool is_backward) const {
    const auto last = static_cast<std::int64_t>(stages_.size()) - 1;
    if (!is_backward && stage == 0) return 0;
    if (is_backward && stage == last) return forward_[at(stage, micro_batch)];
    const std::int64_t peer = is_backward ? stage + 1 : stage - 1;
    const double end = (is_backward ? backward_ : forward_)[at(peer, micro_batch)];
    return end == unknown ? unknown : end + send_time(peer, is_backward);
  }

  void advance(std::int64_t stage) {
    const auto s = static_cast<std::size_t>(stage);
    while (next_[s] < 2 * micro_batches_) {
      const auto [micro_batch, is_backward] = op_at(stage, next_[s]);
      const double ready = arrival(stage, micro_batch, is_backward);
      if (ready == unknown) return;
      const double end =
          std::max(free_[s], ready) + (is_backward ? stages_[s].backward : stages_[s].forward);
      (is_backward ? backward_ : forward_)[at(stage, micro_batch)] = end;
      free_[s] = end + send_time(stage, is_backward);
      ++next_[s];
    }
  }

  const std::vector<StageTime>& stages_;
  std::int64_t micro_batches_;
  std::vector<double> forward_, backward_;  // ends, by stage and micro-batch
  std::vector<double> free_;                // when a stage can compute again
  std::vector<std::int64_t> next_;          // position in the stage's program
};

}  // namespace

double pipeline_cycle(const std::vector<StageTime>& stages) {
  double cycle = 0;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    double sum = i > 0 ? stages[i - 1].send : 0;
    for (std::size_t j = i; j < stages.size(); ++j) {
      const double leaving = j + 1 < stages.size() ? stages[j].send : 0;
      sum += stages[j].forward + stages[j].backward;
      cycle = std::max(cycle, (sum + leaving) / static_cast<double>(j - i + 1));
      sum += 2 * leaving;
    }
  }
  return cycle;
}

std::vector<double> last_backward_ends(const std::vector<StageTime>& stages,
                                       std::int64_t micro_batches) {
  assert(!stages.empty() && micro_batches >= 1);
  const auto played =
      std::min<std::int64_t>(micro_batches, 3 * static_cast<std::int64_t>(stages.size()) + 4);
  std::vector<double> ends = Play(stages, played).run();
  const double rest = static_cast<double>(micro_batches - played) * pipeline_cycle(stages);
  for (double& end : ends) end += rest;
  return ends;
}

}  // namespace railwright::coordinator
