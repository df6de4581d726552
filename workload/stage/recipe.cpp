#include "workload/stage/recipe.hpp"

#include <algorithm>
#include <iterator>

#include "workload/layer.hpp"

namespace railwright::workload {

bool Recipe::has_beside() const {
  return std::ranges::any_of(steps_,
                             [](const Step& step) { return step.kind == StepKind::beside; });
}

// Joins compute that follows compute with nothing more to wait for.
void Recipe::add(Step step) {
  const StepKind last_kind = steps_.empty() ? StepKind::exchange : steps_.back().kind;
  const bool after_all = last_kind == StepKind::compute;
  const bool after_compute = after_all || last_kind == StepKind::compute_beside;
  const bool joins =
      (step.kind == StepKind::compute && after_all) ||
      (step.kind == StepKind::compute_beside && !step.waits_for_beside && after_compute);
  if (!joins) {
    steps_.push_back(std::move(step));
    return;
  }
  Step& last = steps_.back();
  if (last.name != step.name) last.name = name_;
  last.kernels.insert(last.kernels.end(), step.kernels.begin(), step.kernels.end());
}

void Recipe::compute(std::string name, Kernels kernels) {
  Step step;
  step.name = std::move(name);
  step.kernels = std::move(kernels);
  if (!step.kernels.empty()) add(std::move(step));
}

void Recipe::exchange(Dimension group, Operation operation, double bytes) {
  if (degree_of(*degrees_, group) == 1) return;
  Step step;
  step.kind = StepKind::exchange;
  step.group = group;
  step.operation = operation;
  step.bytes = to_bytes(bytes);
  add(std::move(step));
}

void Recipe::beside(Dimension group, Operation operation, double bytes) {
  if (degree_of(*degrees_, group) == 1) return;
  exchange(group, operation, bytes);
  steps_.back().kind = StepKind::beside;
}

void Recipe::await_beside() {
  if (!has_beside()) return;
  Step step;
  step.kind = StepKind::await_beside;
  add(std::move(step));
}

void Recipe::compute_beside(std::string name, Kernels kernels, bool waits_for_beside) {
  Step step;
  step.kind = StepKind::compute_beside;
  step.name = std::move(name);
  step.kernels = std::move(kernels);
  step.waits_for_beside = waits_for_beside && has_beside();
  add(std::move(step));
}

void Recipe::append(const Recipe& other) {
  for (const Step& step : other.steps_) add(step);
}

// The host calls a collective as it launches a kernel: with the compute before it, else after it.
void Recipe::call_exchanges() {
  const auto computes = [](const Step& step) { return !step.kernels.empty(); };
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].kind != StepKind::exchange && steps_[i].kind != StepKind::beside) continue;
    const auto place = steps_.begin() + static_cast<std::ptrdiff_t>(i);
    const auto before = std::find_if(std::make_reverse_iterator(place), steps_.rend(), computes);
    const auto caller =
        before != steps_.rend() ? before.base() - 1 : std::find_if(place, steps_.end(), computes);
    if (caller != steps_.end()) caller->kernels.push_back({"call", KernelKind::call, {0}, 0, 1});
  }
}

void Recipe::register_bodies(ProgramWriter& writer) {
  call_exchanges();
  for (Step& step : steps_)
    if (!step.kernels.empty()) step.body = writer.body(step.name, step.kernels);
}

void Recipe::write(ProgramWriter& writer) const {
  int beside = -1;
  for (const Step& step : steps_) switch (step.kind) {
      case StepKind::compute:
        writer.compute(step.body);
        break;
      case StepKind::exchange:
        writer.tensor(step.group, step.operation, step.bytes);
        break;
      case StepKind::beside:
        beside = writer.tensor_beside(step.group, step.operation, step.bytes);
        break;
      case StepKind::await_beside:
        writer.await(beside);
        break;
      case StepKind::compute_beside:
        writer.compute_beside(step.body, step.waits_for_beside ? beside : -1);
        break;
    }
}

}  // namespace railwright::workload
