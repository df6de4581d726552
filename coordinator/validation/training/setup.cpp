#include "coordinator/validation/training/setup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "collectives/library_time.hpp"
#include "coordinator/planner/search.hpp"
#include "topology/calibration_overlay.hpp"
#include "workload/framework.hpp"

namespace railwright::coordinator {
namespace {

using collectives::library::Server;
using collectives::library::Wiring;
using topology::Precision;
using workload::Degrees;
using workload::Recompute;

constexpr int first_hopper = 90;          // compute capability
constexpr double shared_nic = 100e9 / 8;  // slower ones per accelerator are shared by several

const topology::LinkClass* link_named(std::string_view name) {
  const auto& links = topology::link_catalogue();
  const auto found = std::ranges::find(links, name, &topology::LinkClass::name);
  return found == links.end() ? nullptr : &*found;
}

std::optional<Precision> precision_of(std::string_view text) {
  if (text == "fp16") return Precision::fp16;
  if (text == "bf16" || text.empty()) return Precision::bf16;
  if (text == "fp8" || text == "mxfp8") return Precision::fp8;
  if (text == "nvfp4" || text == "fp4") return Precision::fp4;
  if (text == "fp32") return Precision::fp32;
  return {};
}

Recompute recompute_of(const std::string& text) {
  if (text == "full") return Recompute::full;
  return text == "selective" ? Recompute::selective : Recompute::none;
}

class Setter {
 public:
  explicit Setter(const TrainingRow& row)
      : row_(row), server_(collectives::library::server_of(row.accelerator)) {}

  TrainingSetup make() {
    if (!server_) return refused(fmt::format("no server with '{}' is known", row_.accelerator));
    const auto& catalogue = topology::accelerator_catalogue();
    const auto kind =
        std::ranges::find(catalogue, server_->accelerator, &topology::AcceleratorKind::name);
    if (kind == catalogue.end())
      return refused(fmt::format("'{}' is not in the catalogue", server_->accelerator));
    out_.cluster.accelerator_kinds = {*kind};
    framework();
    model();
    degrees();
    cluster();
    if (out_.why_not.empty()) check();
    return std::move(out_);
  }

 private:
  TrainingSetup refused(std::string why) {
    out_.why_not = std::move(why);
    return std::move(out_);
  }
  void assume(std::string what) { out_.defaults.push_back(std::move(what)); }
  template <class T>
  T given_or(const std::optional<T>& given, T otherwise, const char* what) {
    if (!given) assume(what);
    return given.value_or(otherwise);
  }
  // Megatron-LM and DeepSpeed, which share their transformer layers.
  bool megatron() const {
    return row_.framework.starts_with("megatron") || row_.framework == "deepspeed";
  }
  bool before_hopper() const { return server_->compute_capability < first_hopper; }

  void framework() {
    const auto& names = topology::framework_names();
    if (std::ranges::find(names, row_.framework) != names.end())
      out_.framework = row_.framework;
    else
      assume("framework");
    out_.memory_of_first_stage = row_.framework == "nanotron";
  }

  // Models without a gate are of GPT's kind: LayerNorm, biases, learned positions, dropout. The
  // Megatron-LM of the A100's years had no flash attention.
  void model() {
    workload::Model model = row_.model;
    model.head_dim = model.hidden / std::max<std::int64_t>(1, model.heads);
    model.gated_mlp = given_or(row_.gated, false, "kind of MLP");
    const bool gpt = !model.gated_mlp;
    model.layer_norm = model.biases = model.tied_embeddings = model.learned_positions = gpt;
    model.dropout = gpt && megatron();
    model.flash_attention = !(megatron() && before_hopper());
    model.positions = row_.sequence;
    model.experts.count = row_.experts;
    model.experts.per_token = row_.top_k;
    if (row_.experts > 0) model.experts.ffn_hidden = model.ffn_hidden;
    const auto precision = precision_of(row_.precision);
    if (!precision) out_.why_not = fmt::format("unknown precision '{}'", row_.precision);
    if (row_.precision.empty()) assume("precision");
    out_.training = {std::move(model), row_.global_batch, row_.sequence,
                     precision.value_or(Precision::bf16)};
    out_.training.state = workload::state_format_of(out_.framework, out_.training.precision);
  }

  void degrees() {
    Degrees degrees;
    degrees.tp = row_.tp;
    degrees.pp = row_.pp;
    degrees.vpp = row_.vpp;
    degrees.cp = row_.cp;
    degrees.ep = row_.ep;
    degrees.dp = row_.dp;
    degrees.zero_stage = given_or(row_.zero_stage, row_.dp > 1 ? 1 : 0, "ZeRO stage");
    degrees.sequence_parallel =
        given_or(row_.sequence_parallel, row_.tp > 1 && !before_hopper(), "sequence parallelism") &&
        row_.tp > 1;
    degrees.shard = row_.shard_degree.value_or(0);
    if (degrees.shard >= row_.dp * row_.cp || degrees.zero_stage == 0) degrees.shard = 0;
    degrees.overlap_gradients = !(megatron() && before_hopper());
    degrees.recompute =
        recompute_of(given_or(row_.recompute, std::string("none"), "recomputation"));
    out_.every_other_layer = row_.framework == "fsdp" && degrees.recompute == Recompute::selective;
    if (!row_.micro_batch) assume("micro-batch");
    for (const std::int64_t size : micro_batches()) {
      degrees.micro_batch = static_cast<int>(size);
      out_.choices.push_back(degrees);
    }
  }

  std::vector<std::int64_t> micro_batches() const {
    if (row_.micro_batch) return {*row_.micro_batch};
    return divisors(std::max<std::int64_t>(1, row_.global_batch / std::max(1, row_.dp)));
  }

  // Nodes of the usual server, their NICs on one leaf per rail under a spine without
  // oversubscription.
  void cluster() {
    topology::ClusterSpec& spec = out_.cluster;
    spec.name = "row";
    topology::NodeGroup node;
    node.name = "node";
    node.accelerators = std::min(row_.per_node, row_.accelerators);
    node.count = (row_.accelerators + node.accelerators - 1) / node.accelerators;
    if (node.accelerators > 1) scale_up(node);
    if (node.count > 1) network(node);
    spec.nodes = {std::move(node)};
  }

  topology::ClassId add(const topology::LinkClass& link) {
    out_.cluster.link_classes.push_back(link);
    return {static_cast<std::uint16_t>(out_.cluster.link_classes.size() - 1)};
  }

  void scale_up(topology::NodeGroup& node) {
    const topology::LinkClass* link = link_named(server_->link);
    if (!link || server_->wiring == Wiring::none) {
      out_.why_not = fmt::format("accelerators of one node are not joined: '{}'", row_.accelerator);
      return;
    }
    topology::LinkClass joined = *link;
    joined.capacity = server_->rate;
    const bool mesh = server_->wiring == Wiring::full_mesh || server_->wiring == Wiring::cube_mesh;
    node.scale_up = mesh ? topology::Shape::full_mesh : topology::Shape::switched;
    node.scale_up_class = add(joined);
  }

  void network(topology::NodeGroup& node) {
    const Bandwidth per_accelerator = given_or(row_.nic, server_->nic, "rate of the NICs");
    int shared = 1;
    while (per_accelerator.bytes_per_second * shared < shared_nic &&
           node.accelerators % (2 * shared) == 0)
      shared *= 2;
    topology::LinkClass pcie = *link_named(before_hopper() ? "pcie-4-x16" : "pcie-5-x16");
    topology::LinkClass wire = *link_named(shared > 1 ? "ethernet-100g" : "infiniband-ndr");
    wire.name = "network";
    wire.capacity = bytes_per_second(per_accelerator.bytes_per_second * shared);
    node.nic = topology::NicSpec{add(pcie), shared};
    topology::NetworkSpec network;
    network.name = "fabric";
    network.shape = topology::Shape::rail_fat_tree;
    network.edge_class = network.spine_class = network.global_class = add(wire);
    network.nodes_per_leaf = std::min(32, node.count);
    out_.cluster.networks = {std::move(network)};
    out_.cluster.routing.mode = topology::RoutingMode::d_mod_k;
  }

  void check() {
    for (const Degrees& degrees : out_.choices)
      if (degrees.world() != row_.accelerators)
        return void(out_.why_not = "degrees that do not multiply to the accelerators");
    std::vector<Degrees> plain = out_.choices;
    for (Degrees& degrees : plain) degrees.vpp = 1;
    keep_possible(out_.choices);
    keep_possible(plain);
    if (out_.choices.empty() && !plain.empty()) {
      assume("chunks of layers that are not equal, priced as one chunk per stage");
      out_.choices = std::move(plain);
    }
    if (out_.choices.empty()) return void(out_.why_not = "degrees that are not supported");
    if (row_.step_time && *row_.step_time < shortest_step())
      out_.why_not = "a step that is shorter than its FLOPs at the peak rate";
  }

  void keep_possible(std::vector<Degrees>& choices) const {
    std::erase_if(choices, [&](const Degrees& degrees) {
      return !workload::violations(out_.training, degrees).empty();
    });
  }

  // Without any recomputation, at the data sheet's rate: nothing is faster.
  Seconds shortest_step() const {
    const FlopRate peak =
        workload::peak_rate(out_.cluster.accelerator_kinds.front(), out_.training.precision);
    return seconds(workload::model_flops_per_step(out_.training).count /
                   (peak.per_second * row_.accelerators));
  }

  const TrainingRow& row_;
  const Server* server_;
  TrainingSetup out_;
};

}  // namespace

TrainingSetup setup_of(const TrainingRow& row) { return Setter(row).make(); }

std::string system_of(const TrainingRow& row) {
  return fmt::format("{} {} {} {}", row.accelerator, row.accelerators, row.per_node,
                     row.nic ? row.nic->bytes_per_second : 0);
}

}  // namespace railwright::coordinator
