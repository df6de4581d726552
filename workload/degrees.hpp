// How the ranks share the work: parallel degrees, and who sits in which group.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"
#include "workload/model.hpp"

namespace railwright::workload {

enum class Recompute : std::uint8_t { none, selective, full };
enum class ContextExchange : std::uint8_t {
  ring,        // keys and values go round, beside the attention to those that are there
  all_to_all,  // Ulysses: heads for sequence, and back
};
enum class PipelineSchedule : std::uint8_t {
  one_forward_one_backward,  // interleaved where vpp > 1
  zero_bubble_h1,
};
// Kinds of groups. The first five are the coordinates of a rank; the others are cut out of them.
enum class Dimension : std::uint8_t {
  tp,
  cp,
  ep,
  dp,
  pp,
  etp,      // of one expert's tensors
  edp,      // ranks that hold the same part of the same experts
  dp_cp,    // data and context parallel: whose gradients are summed
  shard,    // of dp x cp: shares one copy of what ZeRO shards
  replica,  // of dp x cp: holds the same shard
};
inline constexpr int dimension_count = 10;

// world = tp x cp x dp x pp; experts are carved out of dp x cp x tp: ep x etp of these ranks hold
// all experts of a layer once, and so do the next ep x etp.
struct Degrees {
  int tp = 1;   // tensor parallel
  int pp = 1;   // pipeline stages
  int vpp = 1;  // model chunks per pipeline rank (interleaving)
  int cp = 1;   // context parallel
  int ep = 1;   // expert parallel
  int dp = 1;   // data parallel
  int etp = 1;  // tensor parallel inside an expert
  // What dp x cp ranks share: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too (FSDP)
  int zero_stage = 0;
  int shard = 0;                   // ranks that share one copy of it (HSDP); 0: all of dp x cp
  bool sequence_parallel = false;  // activations between TP blocks split along the sequence
  bool overlap_gradients = true;   // what ZeRO exchanges runs beside compute; else after it
  int micro_batch = 1;             // sequences per micro-batch and data-parallel rank
  // How the sequence's parts meet in attention when cp > 1.
  ContextExchange context = ContextExchange::ring;
  std::vector<std::int64_t> layers;  // of each stage; empty: as even as it goes, see stage_layers
  Recompute recompute = Recompute::none;
  PipelineSchedule schedule = PipelineSchedule::one_forward_one_backward;
  std::int64_t world() const { return std::int64_t{tp} * cp * dp * pp; }
  int shard_ranks() const { return shard > 0 ? shard : dp * cp; }
  bool operator==(const Degrees&) const = default;
};

// What a framework keeps in memory: bytes of each parameter for weights, gradients and the
// optimizer (fp32 master weights and Adam's moments); `summed`: of a gradient on the links. And how
// it goes about gradients and recomputation.
// framework.hpp says what frameworks do; the default is Megatron-LM's under 16-bit training.
struct StateFormat {
  double weight = 2, gradient = 4, optimizer = 12;
  double summed = 4;
  Bytes buffers = {};      // more of them for gradients and weights on their way
  bool fused_gate = true;  // else a gated MLP keeps the activation of its gate too
  // A kernel of its own adds the gradients of a micro-batch to those before; else the product does.
  bool adds_gradients = false;
  // Full recomputation ends with the last tensor that the backward needs: see framework.hpp.
  bool recompute_stops_early = false;
  // An embedding table that is not split has columns added too, up to a multiple of 128.
  bool pads_whole_table = true;
  bool operator==(const StateFormat&) const = default;
};

// What is trained: the same for every plan that is compared. The batch is never changed silently.
struct Training {
  Model model;
  std::int64_t global_batch = 0;  // sequences per step
  std::int64_t sequence = 0;      // tokens per sequence
  Precision precision = Precision::bf16;
  std::optional<StateFormat> state = {};  // absent: the default of the precision
  bool operator==(const Training&) const = default;
};
// fp32 training keeps 4 + 4 + 8 bytes, all else the default above.
StateFormat state_format(const Training& training);

// Why these degrees cannot train this; empty when they can. Names the divisibility rule that
// failed: heads % tp, kv_heads % tp, ffn_hidden % tp, layers % pp (see stage_layers in cost.hpp for
// the two uneven splits), layers % (pp x vpp) and micro-batches % pp when stages are interleaved,
// global_batch % (dp x micro_batch), sequence % tp under SP, experts % ep, expert width % etp,
// tp x cp x dp % (ep x etp), sequence % (2 cp), heads % (tp x cp) under all_to_all, dp x cp %
// shard; and what is not supported, such as interleaving or full recomputation under
// zero_bubble_h1.
std::vector<std::string> violations(const Training& training, const Degrees& degrees);

// Micro-batches per data-parallel rank and step; the degrees must have no violations.
std::int64_t micro_batches(const Training& training, const Degrees& degrees);

// "tp=8,pp=16,dp=128,micro_batch=1,zero_stage=1,recompute=selective,sequence_parallel=true"
// Column in an error's place counts within the text.
tl::expected<Degrees, ConfigError> parse_degrees(std::string_view text);
std::string to_string(const Degrees& degrees);  // what parse_degrees reads
// The keys that parse_degrees knows, for the help of commands.
inline constexpr const char* degree_words =
    "tp, pp, vpp, cp, ep, etp, dp, micro_batch, zero_stage (0 to 3), shard, sequence_parallel "
    "(true, false), context (ring, all_to_all), layers (7:8:8:7), recompute (none, selective, "
    "full), schedule (1f1b, zb-h1)";
std::string to_string(Recompute recompute);
std::string to_string(PipelineSchedule schedule);  // "1f1b", "zb-h1"
std::string to_string(ContextExchange context);    // "ring", "all_to_all"
std::string to_string(Dimension dimension);

// Rank numbers: mixed radix in `order`, first entry fastest.
using RankOrder = std::array<Dimension, 5>;
inline constexpr RankOrder default_order = {Dimension::tp, Dimension::cp, Dimension::ep,
                                            Dimension::dp, Dimension::pp};
int degree_of(const Degrees& degrees, Dimension dimension);  // ranks of a group
int extent_of(const Degrees& degrees, Dimension dimension);  // values of the coordinate; ep: 1
struct Coordinates {
  int tp = 0, cp = 0, dp = 0, pp = 0;
  bool operator==(const Coordinates&) const = default;
};
Coordinates coordinates_of(std::int64_t rank, const Degrees& degrees,
                           const RankOrder& order = default_order);
std::int64_t rank_of(const Coordinates& coordinates, const Degrees& degrees,
                     const RankOrder& order = default_order);
// Whether the groups that are cut out of several dimensions are evenly spaced in this order: cp and
// dp next to each other, with experts tp too.
bool has_groups(const Degrees& degrees, const RankOrder& order);
// Distance in rank numbers between neighbours of a group.
std::int64_t stride_of(Dimension dimension, const Degrees& degrees,
                       const RankOrder& order = default_order);
// Ranks of the group of `dimension` that `rank` is in, ascending along it.
std::vector<std::int64_t> group_of(Dimension dimension, std::int64_t rank, const Degrees& degrees,
                                   const RankOrder& order = default_order);

}  // namespace railwright::workload
