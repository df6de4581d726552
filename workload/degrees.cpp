#include "workload/degrees.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace railwright::workload {

namespace {

// More would make a program that no machine can hold.
constexpr std::int64_t most_micro_batches = 100'000;
constexpr double most_ranks = 1 << 30;

using Messages = std::vector<std::string>;

bool all_positive(const Training& training, const Degrees& degrees, Messages& out) {
  const auto check = [&](const char* name, std::int64_t value) {
    if (value < 1) out.push_back(fmt::format("{} is {}; it must be at least 1", name, value));
  };
  check("tp", degrees.tp);
  check("pp", degrees.pp);
  check("vpp", degrees.vpp);
  check("cp", degrees.cp);
  check("ep", degrees.ep);
  check("etp", degrees.etp);
  check("dp", degrees.dp);
  check("micro_batch", degrees.micro_batch);
  check("global batch", training.global_batch);
  check("sequence", training.sequence);
  return out.empty();
}

// "; nearest that divide: 4 and 8".
std::string nearest_divisors(std::int64_t value, std::int64_t degree) {
  if (degree >= value)
    return fmt::format("; nearest that divides: {}", std::max<std::int64_t>(value, 1));
  std::int64_t below = 1, above = value;
  for (std::int64_t small = 1; small * small <= value; ++small) {
    if (value % small != 0) continue;
    for (const std::int64_t divisor : {small, value / small})
      (divisor < degree ? below : above) =
          divisor < degree ? std::max(below, divisor) : std::min(above, divisor);
  }
  return fmt::format("; nearest that divide: {} and {}", below, above);
}

void check_divides(Messages& out, const char* what, std::int64_t value, const char* by,
                   std::int64_t degree) {
  if (value % degree != 0)
    out.push_back(fmt::format("{} % {}: {} is not divisible by {}{}", what, by, value, degree,
                              nearest_divisors(value, degree)));
}

void check_experts(const Model& model, const Degrees& degrees, Messages& out) {
  const Experts& experts = model.experts;
  const bool parallel = degrees.ep > 1 || degrees.etp > 1;
  if (parallel && experts.count == 0)
    out.push_back(fmt::format("ep and etp are for experts: {} has none", model.name));
  const bool split = degrees.tp > 1 && !degrees.sequence_parallel;
  if (split && experts.count > 0)
    out.push_back("experts with tp > 1 need sequence_parallel: ranks route different tokens");
  if (split && model.latent.kv_rank > 0)
    out.push_back(
        "latent attention with tp > 1 needs sequence_parallel: its down projections are "
        "not split otherwise");
  if (experts.count == 0) return;
  check_divides(out, "experts", experts.count, "ep", degrees.ep);
  check_divides(out, "expert width", experts.ffn_hidden, "etp", degrees.etp);
  check_divides(out, "shared expert width", experts.shared_hidden, "tp", degrees.tp);
  check_divides(out, "tp x cp x dp", std::int64_t{degrees.tp} * degrees.cp * degrees.dp,
                "(ep x etp)", std::int64_t{degrees.ep} * degrees.etp);
  if (degrees.shard > 0) out.push_back("not supported: shard (HSDP) with experts");
}

void check_context(const Training& training, const Degrees& degrees, Messages& out) {
  if (degrees.cp == 1) return;
  const Model& model = training.model;
  if (!model.flash_attention) out.push_back("cp > 1 needs flash attention");
  if (model.latent.kv_rank > 0) out.push_back("not supported: cp > 1 with latent attention");
  // Every rank has a part from the beginning and one from the end: equal shares of a causal mask.
  const std::int64_t split = degrees.sequence_parallel ? degrees.tp : 1;
  check_divides(out, "sequence", training.sequence, "(2 x cp x tp under sequence_parallel)",
                2 * std::int64_t{degrees.cp} * split);
  if (degrees.context == ContextExchange::ring) return;
  const std::int64_t parts = std::int64_t{degrees.tp} * degrees.cp;
  check_divides(out, "heads", model.heads, "(tp x cp)", parts);
  check_divides(out, "kv_heads", model.kv_heads, "(tp x cp)", parts);
}

void check_sharding(const Degrees& degrees, Messages& out) {
  if (degrees.zero_stage < 0 || degrees.zero_stage > 3)
    out.push_back(fmt::format("zero_stage is {}; write 0, 1, 2 or 3", degrees.zero_stage));
  if (degrees.zero_stage > 1 && degrees.schedule == PipelineSchedule::zero_bubble_h1)
    out.push_back("not supported: schedule zb-h1 with zero_stage 2 or 3");
  if (degrees.shard == 0) return;
  if (degrees.shard < 0 || degrees.zero_stage < 1)
    out.push_back("shard says how many ranks share what ZeRO shards: write zero_stage=1, 2 or 3");
  else
    check_divides(out, "dp x cp", std::int64_t{degrees.dp} * degrees.cp, "shard", degrees.shard);
}

void check_layers_of_stages(const Model& model, const Degrees& degrees, Messages& out) {
  std::int64_t sum = 0;
  for (const std::int64_t layers : degrees.layers) {
    if (layers < 1) out.push_back("layers: every stage must have at least 1");
    sum += layers;
  }
  if (static_cast<int>(degrees.layers.size()) != degrees.pp)
    out.push_back(
        fmt::format("layers: {} stages, but pp is {}", degrees.layers.size(), degrees.pp));
  if (sum != model.layers)
    out.push_back(
        fmt::format("layers: they add up to {}, {} has {}", sum, model.name, model.layers));
  if (degrees.vpp > 1) out.push_back("not supported: layers per stage with vpp > 1");
}

void check_stages(const Model& model, const Degrees& degrees, Messages& out) {
  if (!degrees.layers.empty()) return check_layers_of_stages(model, degrees, out);
  const std::int64_t layers = model.layers;
  const int pp = degrees.pp;
  const bool splits = layers % pp == 0 || (layers + 1) % pp == 0 || (layers + 2) % pp == 0;
  if (layers < pp) {
    out.push_back(fmt::format("layers % pp: {} layers are too few for {} stages", layers, pp));
  } else if (!splits) {
    out.push_back(fmt::format(
        "layers % pp: {} layers do not split over {} stages: neither {} nor {} (the last stage one "
        "layer short) nor {} (first and last one short) is divisible by {}",
        layers, pp, layers, layers + 1, layers + 2, pp));
  }
}

void check_schedule(const Training& training, const Degrees& degrees, Messages& out) {
  const bool zero_bubble = degrees.schedule == PipelineSchedule::zero_bubble_h1;
  if (zero_bubble && degrees.vpp > 1)
    out.push_back("not supported: schedule zb-h1 with interleaved stages (vpp > 1)");
  if (zero_bubble && degrees.recompute == Recompute::full)
    out.push_back("not supported: schedule zb-h1 with recompute=full");
  if (degrees.vpp == 1) return;
  if (degrees.pp == 1) out.push_back("vpp is for pipelines: with pp=1 write vpp=1");
  const std::int64_t chunks = std::int64_t{degrees.pp} * degrees.vpp;
  check_divides(out, "layers", training.model.layers, "(pp x vpp)", chunks);
  const std::int64_t share = std::int64_t{degrees.dp} * degrees.micro_batch;
  if (training.global_batch % share == 0)
    check_divides(out, "micro-batches", training.global_batch / share, "pp (interleaved stages)",
                  degrees.pp);
}

void check_batch(const Training& training, const Degrees& degrees, Messages& out) {
  const std::int64_t share = std::int64_t{degrees.dp} * degrees.micro_batch;
  if (training.global_batch % share != 0) {
    out.push_back(fmt::format(
        "global_batch % (dp x micro_batch): {} is not divisible by {} x {} = {}; nearest "
        "batches: {}{}",
        training.global_batch, degrees.dp, degrees.micro_batch, share,
        training.global_batch < share
            ? ""
            : fmt::format("{} and ", training.global_batch / share * share),
        (training.global_batch / share + 1) * share));
  } else if (training.global_batch / share > most_micro_batches) {
    out.push_back(fmt::format("{} micro-batches per step and rank; at most {} are emulated",
                              training.global_batch / share, most_micro_batches));
  }
}

void check_sequence(const Training& training, const Degrees& degrees, Messages& out) {
  const Model& model = training.model;
  if (degrees.sequence_parallel)
    check_divides(out, "sequence", training.sequence, "tp (sequence_parallel)", degrees.tp);
  if (model.learned_positions && model.positions > 0 && training.sequence > model.positions)
    out.push_back(fmt::format("sequence {} is longer than the {} learned positions of {}",
                              training.sequence, model.positions, model.name));
}

void check_world(const Degrees& degrees, Messages& out) {
  const double world = 1.0 * degrees.tp * degrees.cp * degrees.dp * degrees.pp;
  if (world > most_ranks)
    out.push_back(fmt::format("tp x cp x dp x pp is {:.0f} ranks; at most {:.0f} are supported",
                              world, most_ranks));
}

}  // namespace

std::vector<std::string> violations(const Training& training, const Degrees& degrees) {
  Messages out;
  if (!all_positive(training, degrees, out)) return out;
  const Model& model = training.model;
  check_divides(out, "heads", model.heads, "tp", degrees.tp);
  check_divides(out, "kv_heads", model.kv_heads, "tp", degrees.tp);
  check_divides(out, "ffn_hidden", model.ffn_hidden, "tp", degrees.tp);
  if (degrees.vpp == 1 || !degrees.layers.empty()) check_stages(model, degrees, out);
  check_schedule(training, degrees, out);
  check_batch(training, degrees, out);
  check_sequence(training, degrees, out);
  check_sharding(degrees, out);
  check_experts(model, degrees, out);
  check_context(training, degrees, out);
  check_world(degrees, out);
  return out;
}

std::int64_t micro_batches(const Training& training, const Degrees& degrees) {
  assert(degrees.dp >= 1 && degrees.micro_batch >= 1);
  return training.global_batch / (std::int64_t{degrees.dp} * degrees.micro_batch);
}

std::string to_string(Recompute recompute) {
  switch (recompute) {
    case Recompute::none:
      return "none";
    case Recompute::selective:
      return "selective";
    case Recompute::full:
      return "full";
  }
  return "none";
}

std::string to_string(PipelineSchedule schedule) {
  switch (schedule) {
    case PipelineSchedule::one_forward_one_backward:
      return "1f1b";
    case PipelineSchedule::zero_bubble_h1:
      return "zb-h1";
  }
  return "1f1b";
}

std::string to_string(ContextExchange context) {
  switch (context) {
    case ContextExchange::ring:
      return "ring";
    case ContextExchange::all_to_all:
      return "all_to_all";
  }
  return "ring";
}

std::string to_string(Dimension dimension) {
  switch (dimension) {
    case Dimension::tp:
      return "tp";
    case Dimension::cp:
      return "cp";
    case Dimension::ep:
      return "ep";
    case Dimension::dp:
      return "dp";
    case Dimension::pp:
      return "pp";
    case Dimension::etp:
      return "etp";
    case Dimension::edp:
      return "edp";
    case Dimension::dp_cp:
      return "dp_cp";
    case Dimension::shard:
      return "shard";
    case Dimension::replica:
      return "replica";
  }
  return "tp";
}

}  // namespace railwright::workload
