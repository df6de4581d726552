#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "collectives/library_time.hpp"

namespace railwright::collectives::library {
namespace {

using nccl::Protocol;

constexpr std::array protocols{Protocol::ll, Protocol::ll128, Protocol::simple};
// Data on a line: 4 of 8 bytes beside a flag, 120 of 128 bytes, all.
constexpr std::array<double, 3> data_share{0.5, 0.9375, 1};
constexpr std::array<const char*, constant_count> parameters = {
    "wire_efficiency",    "network_efficiency", "network_latency",       "hop_latency",
    "hop_latency_simple", "exchange_latency",   "pipeline_fill",         "tree_efficiency",
    "nvls_efficiency",    "nvls_latency",       "local_copy_efficiency", "call_latency"};
constexpr int first_nvls = 90;           // compute capability
constexpr int fewest_nvls_ranks = 3;     // two exchange directly
constexpr int most_cube_mesh_ranks = 8;  // of a node

std::size_t index_of(Protocol protocol) { return static_cast<std::size_t>(protocol); }
double micro(std::optional<float> value) { return microseconds(value.value_or(0)).value; }

// A run with everything that its cells share.
struct Machine {
  const Run& run;
  const Constants& constants;
  const nccl::Constants& tables;
  int nodes = 1;     // as the library sees them: a rack on one switch is one
  int per_node = 1;  // ranks
  double size = 0, inside = 0, between = 0;  // bytes, bytes per second

  double of(Constant constant) const { return constants[static_cast<std::size_t>(constant)]; }
  double ranks() const { return run.ranks; }
  bool reduces_all() const { return run.operation == Operation::all_reduce; }
};

int nodes_seen(const Run& run) {
  const int rack = run.server.rack;
  return rack > 0 ? (run.ranks + rack - 1) / rack : run.nodes;
}

// Line rate that a ring inside a node finds, one direction, per accelerator.
Bandwidth ring_rate(const Server& server, int ranks) {
  switch (server.wiring) {
    case Wiring::full_mesh:
      return (ranks - 1) * server.rate;
    case Wiring::cube_mesh:
      return (ranks <= 2 ? 1 : ranks <= 4 ? 4 : 6) * server.rate;
    case Wiring::none:
      return {};
    case Wiring::switched:
    case Wiring::host:
      break;
  }
  return server.rate;
}

Machine machine_of(const Run& run, const Constants& constants) {
  Machine machine{run, constants, run.tables ? *run.tables : nccl::newest_constants()};
  machine.nodes = nodes_seen(run);
  machine.per_node = run.ranks / machine.nodes;
  machine.size = static_cast<double>(run.size.count);
  const double free = std::numeric_limits<double>::infinity();
  machine.inside = machine.per_node > 1 ? ring_rate(run.server, machine.per_node).bytes_per_second *
                                              machine.of(Constant::wire_efficiency)
                                        : free;
  machine.between = machine.nodes > 1 ? machine.per_node * run.nic.bytes_per_second *
                                            machine.of(Constant::network_efficiency)
                                      : free;
  return machine;
}

// Through the host a hop takes longer by the ratio of NCCL's tables.
double hop_inside(const Machine& machine, Protocol protocol) {
  const bool simple = protocol == Protocol::simple;
  const double hop = machine.of(simple ? Constant::hop_latency_simple : Constant::hop_latency);
  if (machine.run.server.wiring != Wiring::host) return hop;
  const auto ring = static_cast<std::size_t>(nccl::Algorithm::ring);
  const auto p = index_of(protocol);
  return hop * machine.tables.pci_latency[ring][p].value_or(0) /
         machine.tables.nvlink_latency[ring][p].value_or(1);
}

// Simple has to flush what arrived, which takes the network once more.
double hop_between(const Machine& machine, nccl::Algorithm algorithm, Protocol protocol) {
  const auto row = machine.per_node == 1 ? nccl::Algorithm::tree : algorithm;
  const auto table = machine.tables.network_latency[static_cast<std::size_t>(row)];
  const int times = protocol == Protocol::simple ? 2 : 1;
  return micro(table[index_of(protocol)]) + times * machine.of(Constant::network_latency);
}

double base_latency(const Machine& machine, nccl::Algorithm algorithm, Protocol protocol) {
  return micro(
      machine.tables.base_latency[static_cast<std::size_t>(algorithm)][index_of(protocol)]);
}

// Of the formula at the top of the header, without the local copy.
double piped(const Machine& machine, double latency, double wire, Protocol protocol) {
  return latency + wire / data_share[index_of(protocol)] +
         machine.of(Constant::pipeline_fill) * std::sqrt(latency * wire);
}

double ring_time(const Machine& machine, Protocol protocol) {
  const double rounds = machine.reduces_all() ? 2 : 1;
  const double steps = rounds * (machine.ranks() - 1);
  const double crossings = rounds * (machine.nodes - 1);
  double latency = base_latency(machine, nccl::Algorithm::ring, protocol) +
                   (steps - crossings) * hop_inside(machine, protocol);
  if (machine.nodes > 1)
    latency += crossings * hop_between(machine, nccl::Algorithm::ring, protocol);
  const bool whole = machine.run.operation == Operation::broadcast;
  const double bytes = machine.size * (whole ? 1 : steps / machine.ranks());
  return piped(machine, latency, bytes / std::min(machine.inside, machine.between), protocol);
}

double levels(const Machine& machine) {
  return std::bit_width(static_cast<unsigned>(machine.nodes)) - 1;
}
// Two nodes exchange halves; an inner node of a larger tree has the vector twice, up and down.
double tree_between(const Machine& machine) {
  return (machine.nodes > 2 ? 2 : 1) * machine.size / machine.between;
}

double tree_time(const Machine& machine, Protocol protocol) {
  double latency = base_latency(machine, nccl::Algorithm::tree, protocol) +
                   2 * (machine.per_node - 1) * hop_inside(machine, protocol);
  if (machine.nodes > 1)
    latency += 2 * levels(machine) * hop_between(machine, nccl::Algorithm::tree, protocol);
  const double inside = 2 * machine.size / (machine.inside * machine.of(Constant::tree_efficiency));
  return piped(machine, latency, std::max(inside, tree_between(machine)), protocol);
}

// What NCCL lets NVLS of this generation have; 0: the GPU has none.
double nvls_share(const Machine& machine) {
  double share = 0;
  for (const nccl::Generation& generation : machine.tables.generations)
    if (generation.compute_capability <= machine.run.server.compute_capability)
      share = generation.nvls_efficiency;
  return share;
}

bool has_nvls(const Machine& machine) {
  const Server& server = machine.run.server;
  return machine.reduces_all() && server.wiring == Wiring::switched &&
         server.compute_capability >= first_nvls && machine.per_node >= fewest_nvls_ranks &&
         nvls_share(machine) > 0;
}

// The switch adds, so that a vector crosses a link once: twice the ring's bus bandwidth at most.
double nvls_time(const Machine& machine) {
  double latency = machine.of(Constant::nvls_latency);
  if (machine.nodes > 1)
    latency +=
        2 * levels(machine) * hop_between(machine, nccl::Algorithm::nvls_tree, Protocol::simple);
  const double rate = machine.run.server.rate.bytes_per_second *
                      machine.of(Constant::nvls_efficiency) * nvls_share(machine);
  const double inside = machine.size * (machine.ranks() - 1) / machine.ranks() / rate;
  return piped(machine, latency, std::max(inside, tree_between(machine)), Protocol::simple);
}

bool has_direct(const Machine& machine) {
  return machine.reduces_all() && machine.nodes == 1 &&
         machine.run.server.wiring == Wiring::full_mesh &&
         machine.run.library.starts_with("library:rccl");
}

double direct_time(const Machine& machine) {
  const double latency = base_latency(machine, nccl::Algorithm::ring, Protocol::ll) +
                         2 * machine.of(Constant::exchange_latency);
  const double bytes = 2 * machine.size * (machine.ranks() - 1) / machine.ranks();
  return piped(machine, latency, bytes / machine.inside, Protocol::ll);
}

struct Best {
  double time = std::numeric_limits<double>::infinity();
  Means means = Means::ring;
  Protocol protocol = Protocol::simple;
  void offer(double offered, Means by, Protocol with) {
    if (offered < time) *this = {offered, by, with};
  }
};

// NVLS reduces in the switch and has no part of its own to copy.
double copy_time(const Machine& machine) {
  const double rate =
      machine.of(Constant::local_copy_efficiency) * machine.run.server.memory.bytes_per_second;
  const bool copies = machine.run.operation != Operation::broadcast && rate > 0;
  return copies ? machine.size / machine.ranks() / rate : 0;
}

Best best_of(const Machine& machine) {
  const double copy = copy_time(machine);
  Best best;
  for (const Protocol protocol : protocols) {
    if (protocol != Protocol::simple && !machine.run.low_latency_protocols) continue;
    best.offer(copy + ring_time(machine, protocol), Means::ring, protocol);
    if (machine.reduces_all())
      best.offer(copy + tree_time(machine, protocol), Means::tree, protocol);
  }
  if (has_nvls(machine)) best.offer(nvls_time(machine), Means::nvls, Protocol::simple);
  if (has_direct(machine)) best.offer(copy + direct_time(machine), Means::direct, Protocol::ll);
  return best;
}

bool is_of_network(Constant constant) {
  return constant == Constant::network_efficiency || constant == Constant::network_latency;
}

}  // namespace

std::string to_string(Means means) {
  constexpr std::array<const char*, 4> names = {"ring", "tree", "nvls", "direct"};
  return names[static_cast<std::size_t>(means)];
}

std::string_view parameter_of(Constant constant) {
  return parameters[static_cast<std::size_t>(constant)];
}

std::string subject_of(const Run& run, Constant constant) {
  if (constant == Constant::wire_efficiency) return run.server.link;
  if (constant == Constant::call_latency) return run.framework;
  if (is_of_network(constant)) return nodes_seen(run) > 1 ? run.network : "";
  return run.library;
}

Constants constants_of(const Run& run, const topology::Calibration& calibration) {
  Constants constants{};
  for (std::size_t i = 0; i < constant_count; ++i) {
    const auto constant = static_cast<Constant>(i);
    const std::string subject = subject_of(run, constant);
    if (!subject.empty()) constants[i] = calibration.value_or(subject, parameter_of(constant), 0);
  }
  return constants;
}

Bandwidth line_rate(const Run& run) {
  const int nodes = nodes_seen(run), per_node = run.ranks / nodes;
  const Bandwidth inside = ring_rate(run.server, per_node), between = per_node * run.nic;
  if (nodes == 1) return inside;
  return per_node == 1 ? between : std::min(inside, between);
}

std::string why_not(const Run& run) {
  const bool known =
      run.operation == Operation::all_reduce || run.operation == Operation::all_gather ||
      run.operation == Operation::reduce_scatter || run.operation == Operation::broadcast;
  if (!known) return "no model of " + std::string(to_string(run.operation));
  if (run.ranks < 2) return "fewer than two ranks";
  const int nodes = nodes_seen(run);
  if (run.nodes < 1 || run.ranks % nodes != 0) return "ranks do not fill the nodes equally";
  const int per_node = run.ranks / nodes;
  if (per_node > 1 && run.server.wiring == Wiring::none)
    return "the server has one accelerator per node";
  if (per_node > most_cube_mesh_ranks && run.server.wiring == Wiring::cube_mesh)
    return "a cube mesh joins eight accelerators";
  if (nodes > 1 && run.nic.bytes_per_second <= 0) return "no rate of the NICs";
  return {};
}

Prediction predict(const Run& run, const Constants& constants) {
  assert(why_not(run).empty());
  const Machine machine = machine_of(run, constants);
  const Best best = best_of(machine);
  // A framework's call costs the host its time; the device's hides behind it or hides it.
  return {seconds(std::max(best.time, machine.of(Constant::call_latency))), best.means,
          best.protocol};
}

}  // namespace railwright::collectives::library
