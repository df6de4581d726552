#include "coordinator/emulation/metrics.hpp"

#include <algorithm>
#include <numeric>

#include "collectives/bound.hpp"

namespace railwright::coordinator {

using telemetry::CollectiveSample;
using telemetry::LinkSample;

namespace {

// Accelerators at their rated power; the job's links at their idle power and what its bytes take.
double power_of(const EmulateInputs& inputs, const emulator::StepResult& step) {
  const emulator::Plan& plan = inputs.plan;
  double watts = 0;
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank)
    watts += inputs.cluster.kind_of(accelerator_of(rank, plan.placement, plan.degrees)).power.value;
  const topology::Graph& graph = inputs.cluster.graph;
  for (std::size_t c = 0; c < graph.classes.size(); ++c)
    watts +=
        static_cast<double>(step.class_used_links[c]) * graph.classes[c].idle_power.value +
        8 * step.class_bytes[c] * graph.classes[c].energy.value / in_seconds(step.step_time).value;
  return watts;
}

constexpr std::size_t most_named_links = 10, most_named_ranks = 64;

std::map<std::string, std::string> plan_labels(const emulator::Plan& plan) {
  const workload::Degrees& degrees = plan.degrees;
  return {{"model", plan.training.model.name},
          {"cluster_name", plan.cluster.name},
          {"tp", std::to_string(degrees.tp)},
          {"pp", std::to_string(degrees.pp)},
          {"dp", std::to_string(degrees.dp)},
          {"cp", std::to_string(degrees.cp)},
          {"zero_stage", std::to_string(degrees.zero_stage)},
          {"micro_batch", std::to_string(degrees.micro_batch)},
          {"recompute", to_string(degrees.recompute)}};
}

void add_histogram(telemetry::Histogram& sum, const telemetry::Histogram& other) {
  for (std::size_t i = 0; i < sum.counts.size(); ++i) sum.counts[i] += other.counts[i];
  sum.sum += other.sum;
}

}  // namespace

StepTotals::StepTotals(const EmulateInputs& inputs, const EmulatedStep& first) : inputs_(inputs) {
  const Seconds planned = inputs.plan.prediction.step_time;
  const Seconds predicted = planned.value > 0 ? planned : in_seconds(first.result.step_time);
  snapshot_.mode = "emulated";
  snapshot_.plan = plan_labels(inputs.plan);
  snapshot_.step_duration = telemetry::Histogram::around(predicted);
  snapshot_.predicted_step_seconds = predicted.value;
  snapshot_.hbm_used_bytes = static_cast<double>(
      workload::peak_memory(inputs.plan.training, inputs.plan.degrees).total().count);
  snapshot_.hbm_capacity_bytes = static_cast<double>(memory_capacity(inputs).count);
  snapshot_.job_state = "running";
  snapshot_.workers = {{"running", static_cast<int>(first.result.ranks)}, {"done", 0}, {"lost", 0}};
  snapshot_.power_watts = power_of(inputs, first.result);
  choose_links(first);
  choose_ranks(first);
}

telemetry::Snapshot StepTotals::snapshot(double now) const {
  telemetry::Snapshot snapshot = snapshot_;
  snapshot.last_heartbeat_seconds = now;
  return snapshot;
}

void StepTotals::stand_still(const EmulatedStep& step) {
  const int ranks = static_cast<int>(step.result.ranks);
  snapshot_.workers = {{"running", 0}, {"done", 0}, {"lost", ranks}};
  snapshot_.job_state = "failed";
}

// What rank 0's group of each kind cannot beat, mean over the calls; where that is soon known.
void StepTotals::bound_collectives(const EmulatedStep& first) {
  constexpr std::int64_t soon = 2'000'000;  // members x links: some tenths of a second
  const emulator::Plan& plan = inputs_.plan;
  for (CollectiveSample& sample : snapshot_.collectives) {
    double seconds = 0;
    std::int64_t calls = 0;
    for (const emulator::CollectiveUse& use : first.result.collectives) {
      const bool same = to_string(use.operation) == sample.operation &&
                        to_string(use.algorithm) == sample.algorithm &&
                        to_string(use.group) == sample.group;
      if (!same || use.count == 0) continue;
      const auto members = emulator::members_of(plan, use.group, 0);
      const auto count = static_cast<int>(members.size());
      if (count * static_cast<std::int64_t>(inputs_.cluster.graph.links()) > soon) continue;
      const auto bound = collectives::bound_in_network(use.operation, members, inputs_.cluster);
      if (!bound) continue;
      calls += use.count;
      seconds += static_cast<double>(use.count) *
                 collectives::bound_time(*bound, use.operation, count, use.size).value;
    }
    if (calls > 0) sample.bound_seconds = seconds / static_cast<double>(calls);
  }
}

void StepTotals::choose_links(const EmulatedStep& first) {
  const topology::Graph& graph = inputs_.cluster.graph;
  for (const topology::LinkClass& link_class : graph.classes) {
    LinkSample sample;
    sample.link_class = link_class.name;
    sample.source = "emulated";
    sample.capacity_bytes_per_second = link_class.capacity.bytes_per_second;
    snapshot_.links.push_back(std::move(sample));
  }
  for (const emulator::LinkLoad& load : first.result.links) {
    if (named_links_.size() == most_named_links) break;
    named_links_[load.link] = snapshot_.links.size();
    LinkSample sample = snapshot_.links[graph.link_class[load.link.index]];
    sample.link = graph.name_of(load.link);
    sample.capacity_bytes_per_second = graph.capacity(load.link).bytes_per_second;
    snapshot_.links.push_back(std::move(sample));
  }
}

void StepTotals::choose_ranks(const EmulatedStep& first) {
  const auto& wait = first.result.rank_wait;
  std::vector<int> ranks(wait.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  std::stable_sort(ranks.begin(), ranks.end(), [&](int a, int b) { return wait[a] < wait[b]; });
  if (ranks.size() > most_named_ranks) ranks.resize(most_named_ranks);
  for (const int rank : ranks) snapshot_.rank_wait_seconds[rank] = 0;
}

void StepTotals::add(const EmulatedStep& step) {
  const emulator::StepResult& result = step.result;
  const Seconds time = in_seconds(result.step_time);
  snapshot_.step_duration.observe(time);
  snapshot_.steps += 1;
  snapshot_.virtual_time_seconds += time.value;
  if (inputs_.plan.prediction.step_time.value > 0)
    snapshot_.prediction_ratio = time / inputs_.plan.prediction.step_time;
  for (const auto& entry : result.blame)
    snapshot_.blame_seconds[entry.cause] += in_seconds(entry.time).value;
  for (auto& [rank, seconds] : snapshot_.rank_wait_seconds)
    seconds += in_seconds(result.rank_wait[rank]).value;
  add_links(result);
  add_collectives(step);
}

void StepTotals::add_links(const emulator::StepResult& result) {
  const auto add = [](LinkSample& sample, double bytes, double busy, double wait) {
    sample.transmit_bytes += bytes;
    sample.receive_bytes += bytes;  // nothing is lost on the way
    sample.busy_seconds += busy;
    sample.wait_seconds += wait;
  };
  for (std::size_t c = 0; c < result.class_bytes.size(); ++c)
    add(snapshot_.links[c], result.class_bytes[c], result.class_busy_seconds[c],
        result.class_limiting_seconds[c]);
  for (const emulator::LinkLoad& load : result.links) {
    const auto named = named_links_.find(load.link);
    if (named != named_links_.end())
      add(snapshot_.links[named->second], load.bytes, load.busy_seconds, load.limiting_seconds);
  }
}

void StepTotals::add_collectives(const EmulatedStep& step) {
  if (snapshot_.collectives.empty()) {
    snapshot_.collectives = step.collectives;
    bound_collectives(step);
    return;
  }
  // One plan asks for the same collectives in every step, in the same order.
  assert(snapshot_.collectives.size() == step.collectives.size());
  for (std::size_t i = 0; i < step.collectives.size(); ++i) {
    add_histogram(snapshot_.collectives[i].duration, step.collectives[i].duration);
    snapshot_.collectives[i].bytes_total += step.collectives[i].bytes_total;
  }
}

}  // namespace railwright::coordinator
