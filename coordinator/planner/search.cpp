#include "coordinator/planner/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <tuple>

#include "coordinator/training.hpp"

namespace railwright::coordinator {

namespace {

using workload::Degrees;
using workload::Recompute;
using workload::Training;

constexpr std::int64_t shortest_part = 8192;  // tokens of a sequence that the search cuts

std::vector<std::int64_t> choices(const FixedDegrees& fixed, const std::string& name, int value,
                                  std::int64_t divisible) {
  if (!fixed.has(name)) return divisors(divisible);
  return divisible % value == 0 ? std::vector<std::int64_t>{value} : std::vector<std::int64_t>{};
}

std::vector<Recompute> recompute_choices(const FixedDegrees& fixed, bool selective) {
  if (fixed.has("recompute")) return {fixed.values.recompute};
  if (selective) return {Recompute::none, Recompute::selective, Recompute::full};
  return {Recompute::none, Recompute::full};
}

// A shard is shared by ZeRO: without it there is nothing to keep what is fixed in.
std::vector<int> zero_choices(const FixedDegrees& fixed, int ranks) {
  if (fixed.has("zero_stage")) return {fixed.values.zero_stage};
  if (fixed.has("shard")) return {1, 2, 3};
  return ranks > 1 ? std::vector<int>{0, 1, 2, 3} : std::vector<int>{0};
}

// Copies of the shards (HSDP): 2, 4, ... 64 ranks that share one, under FSDP without stages: with
// more of them what is left to share is small beside activations. With stages they have no closed
// form (price.cpp).
std::vector<int> shard_choices(const Training& training, const Degrees& base,
                               const FixedDegrees& fixed, int zero) {
  std::vector<int> choices = {fixed.values.shard};
  if (fixed.has("shard") || zero != 3 || base.pp > 1 || training.model.experts.count > 0)
    return choices;
  const std::int64_t ranks = std::int64_t{base.dp} * base.cp;
  constexpr std::int64_t most = 64;
  for (std::int64_t shard = 2; shard < ranks && shard <= most && ranks % shard == 0; shard *= 2)
    choices.push_back(static_cast<int>(shard));
  return choices;
}

std::vector<bool> sequence_choices(const FixedDegrees& fixed, int tp) {
  if (fixed.has("sequence_parallel")) return {fixed.values.sequence_parallel};
  return tp > 1 ? std::vector<bool>{false, true} : std::vector<bool>{false};
}

// The options of one (tp, pp, dp).
void add_options(const Training& training, const Degrees& base, const FixedDegrees& fixed,
                 bool selective, std::vector<Degrees>& points) {
  const std::int64_t share = training.global_batch / base.dp;
  const int copies = base.tp * base.cp * base.dp / (base.ep * base.etp);  // of each expert
  const int sharing = std::max(base.dp * base.cp, training.model.experts.count > 0 ? copies : 1);
  std::vector<Degrees> sharded;
  for (const int zero : zero_choices(fixed, sharing))
    for (const int shard : shard_choices(training, base, fixed, zero)) {
      sharded.push_back(base);
      sharded.back().zero_stage = zero;
      sharded.back().shard = shard;
    }
  for (Degrees point : sharded)
    for (const Recompute recompute : recompute_choices(fixed, selective))
      for (const bool sequence : sequence_choices(fixed, base.tp))
        for (const auto batch : choices(fixed, "micro_batch", fixed.values.micro_batch, share)) {
          point.recompute = recompute;
          point.sequence_parallel = sequence;
          point.micro_batch = static_cast<int>(batch);
          if (workload::violations(training, point).empty()) points.push_back(point);
        }
}

}  // namespace

std::vector<std::int64_t> divisors(std::int64_t n) {
  assert(n >= 1);
  std::vector<std::int64_t> low, high;
  for (std::int64_t d = 1; d * d <= n; ++d) {
    if (n % d != 0) continue;
    low.push_back(d);
    if (d != n / d) high.push_back(n / d);
  }
  low.insert(low.end(), high.rbegin(), high.rend());
  return low;
}

tl::expected<FixedDegrees, ConfigError> parse_fixed(std::string_view text) {
  FixedDegrees fixed;
  if (text.empty()) return fixed;
  auto values = workload::parse_degrees(text);
  if (!values) return tl::unexpected(of_option("--fix", values.error()));
  fixed.values = *values;
  while (!text.empty()) {
    const std::string_view entry = text.substr(0, text.find(','));
    const std::string_view name = entry.substr(0, entry.find('='));
    const auto first = std::min(name.find_first_not_of(" \t"), name.size());
    fixed.names.emplace(name.substr(first, name.find_last_not_of(" \t") + 1 - first));
    text.remove_prefix(std::min(text.size(), entry.size() + 1));
  }
  return fixed;
}

namespace {

// What is never varied, only given.
Degrees only_fixed(const Degrees& given) {
  Degrees base;
  base.overlap_gradients = given.overlap_gradients;
  base.vpp = given.vpp;
  base.schedule = given.schedule;
  base.context = given.context;
  base.layers = given.layers;
  return base;
}

// Experts are spread over the ranks of one model copy at most: doubling, as far as they divide.
std::vector<int> expert_choices(const workload::Model& model, const FixedDegrees& fixed,
                                std::int64_t ranks) {
  if (fixed.has("ep") || model.experts.count == 0) return {fixed.values.ep};
  std::vector<int> choices;
  for (std::int64_t ep = 1; model.experts.count % ep == 0 && ranks % ep == 0; ep *= 2)
    choices.push_back(static_cast<int>(ep));
  return choices;
}

// Each expert's tensors are whole, or split over as many ranks as other tensors; what is between is
// tried for the best (variants.hpp).
std::vector<int> expert_tensor_choices(const workload::Model& model, const FixedDegrees& fixed,
                                       int tp) {
  if (fixed.has("etp") || model.experts.count == 0) return {fixed.values.etp};
  if (tp == 1 || model.experts.ffn_hidden % tp != 0) return {1};
  return {1, tp};
}

// Long sequences are cut into parts of 8,192 tokens or more, in halves, quarters, ...
std::vector<int> context_choices(const Training& training, const FixedDegrees& fixed,
                                 std::int64_t accelerators) {
  if (fixed.has("cp")) return {fixed.values.cp};
  std::vector<int> choices;
  for (std::int64_t cp = 1; accelerators % cp == 0 && cp <= training.sequence / shortest_part;
       cp *= 2)
    choices.push_back(static_cast<int>(cp));
  return choices.empty() ? std::vector<int>{1} : choices;
}

bool needs_sequence(const workload::Model& model, const Degrees& degrees) {
  return degrees.tp > 1 && (model.experts.count > 0 || model.latent.kv_rank > 0);
}

}  // namespace

bool selective_differs(const Training& training) {
  Degrees none, selective;
  selective.recompute = Recompute::selective;
  Training small = training;
  small.global_batch = 1;
  return workload::peak_memory(small, none) != workload::peak_memory(small, selective) ||
         workload::stage_program(small, none, 0) != workload::stage_program(small, selective, 0);
}

bool simpler(const Degrees& a, const Degrees& b) {
  const auto key = [](const Degrees& d) {
    return std::tuple(d.tp, d.pp, d.cp, d.ep, d.etp, d.zero_stage, d.shard, d.recompute,
                      d.sequence_parallel, d.micro_batch, d.dp);
  };
  return key(a) < key(b);
}

namespace {

// The options of one (tp, pp, cp, dp), if it may be at all.
void add_degrees(const Training& training, Degrees base, const FixedDegrees& fixed, bool selective,
                 std::vector<Degrees>& points) {
  // Where it must be on, it is no choice.
  base.sequence_parallel = fixed.values.sequence_parallel || needs_sequence(training.model, base);
  if (fixed.has("dp") && base.dp != fixed.values.dp) return;
  if (training.global_batch % base.dp != 0) return;
  const std::int64_t ranks = std::int64_t{base.tp} * base.cp * base.dp;
  for (const int ep : expert_choices(training.model, fixed, ranks))
    for (const int etp : expert_tensor_choices(training.model, fixed, base.tp)) {
      base.ep = ep;
      base.etp = etp;
      if (!workload::violations(workload::shortest(training, base), base).empty()) continue;
      add_options(training, base, fixed, selective, points);
    }
}

}  // namespace

std::vector<Degrees> points_of(const Training& training, std::int64_t accelerators,
                               const FixedDegrees& fixed) {
  // What breaks a rule whatever the degrees are, a sequence beyond learned positions, has no
  // program.
  if (!workload::violations(workload::shortest(training, {}), {}).empty()) return {};
  const bool selective = selective_differs(training);
  std::vector<Degrees> points;
  for (const int cp : context_choices(training, fixed, accelerators)) {
    if (accelerators % cp != 0) continue;
    for (const std::int64_t tp : choices(fixed, "tp", fixed.values.tp, accelerators / cp))
      for (const std::int64_t pp : choices(fixed, "pp", fixed.values.pp, accelerators / cp / tp)) {
        Degrees base = only_fixed(fixed.values);
        base.cp = cp;
        base.tp = static_cast<int>(tp);
        base.pp = static_cast<int>(pp);
        base.dp = static_cast<int>(accelerators / cp / tp / pp);
        add_degrees(training, base, fixed, selective, points);
      }
  }
  std::sort(points.begin(), points.end(), simpler);
  return points;
}

}  // namespace railwright::coordinator
