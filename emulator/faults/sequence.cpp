// Faults as they happen: fixed times as written, rates drawn one event after the other.
#include <cmath>
#include <random>

#include "emulator/faults/strike.hpp"
#include "emulator/faults/target.hpp"

namespace railwright::emulator {
namespace {

using topology::Cluster;
using topology::LinkId;

constexpr double year = 365.25 * 24 * 3600;  // seconds
constexpr double last_seconds = 9e6;         // event time ends after 106 days

// In (0, 1]; std::*_distribution differ from library to library.
double uniform(std::mt19937_64& random) {
  return 1 - static_cast<double>(random() >> 11) * 0x1p-53;
}
double exponential(std::mt19937_64& random, double mean) {
  return -mean * std::log(uniform(random));
}

// What has a Poisson process of its own: of a link class every cable, else the target as a whole.
std::vector<std::optional<LinkId>> elements_of(const Fault& fault, const Cluster& cluster) {
  const auto target = find_target(fault.target, cluster);
  assert(target && "parse_faults checked the names against another cluster");
  if (target->kind != TargetKind::link_class) return {std::nullopt};
  const topology::Graph& graph = cluster.graph;
  std::vector<std::optional<LinkId>> cables;
  for (const LinkId link : links_of(*target, cluster)) {
    const auto back = graph.link_between(graph.target_of(link), graph.source_of(link));
    if (!back || link < *back) cables.push_back(link);
  }
  return cables;
}

}  // namespace

struct FaultSequence::Draws {
  // The event of one entry of the file that comes next.
  struct Process {
    Fault fault;
    std::mt19937_64 random;
    std::vector<std::optional<LinkId>> elements;
    double next = 0;  // seconds; beyond last_seconds: no more
  };
  std::vector<Process> processes;
  StepFaults drawn;

  static void advance(Process& process);
  static Occurrence occurrence_now(Process& process);
};

void FaultSequence::Draws::advance(Process& process) {
  if (!process.fault.per_year || process.elements.empty()) {
    process.next = 2 * last_seconds;
    return;
  }
  const double rate = *process.fault.per_year / year * static_cast<double>(process.elements.size());
  process.next += exponential(process.random, 1 / rate);
}

Occurrence FaultSequence::Draws::occurrence_now(Process& process) {
  std::optional<Seconds> duration = process.fault.duration;
  if (const auto& repair = process.fault.repair)
    duration = repair->family == "exponential"
                   ? seconds(exponential(process.random, repair->mean.value))
                   : repair->mean;
  return occurrence(seconds(process.next), duration);
}

Result<FaultSequence> FaultSequence::make(const Faults& faults, const Cluster& cluster,
                                          std::uint64_t seed) {
  FaultSequence sequence;
  sequence.draws_ = std::make_unique<Draws>();
  StepFaults at_once;  // as if all happened together
  std::uint64_t number = 0;
  for (const Fault& fault : faults.events) {
    std::seed_seq words{seed & 0xffffffff, seed >> 32, ++number};
    Draws::Process process{fault, std::mt19937_64(words), {}, 0};
    if (fault.at) process.next = fault.at->value;
    if (fault.per_year) {
      process.elements = elements_of(fault, cluster);
      Draws::advance(process);
    } else {
      strike(fault, occurrence_of(fault), std::nullopt, cluster, at_once);
    }
    sequence.draws_->processes.push_back(std::move(process));
  }
  if (const auto error = nearly_nothing_left(faults, at_once))
    return tl::unexpected<Errors>(Errors{*error});
  return sequence;
}

FaultSequence::FaultSequence() = default;
FaultSequence::FaultSequence(FaultSequence&&) noexcept = default;
FaultSequence& FaultSequence::operator=(FaultSequence&&) noexcept = default;
FaultSequence::~FaultSequence() = default;

const StepFaults& FaultSequence::until(Instant horizon, const Cluster& cluster) {
  const double end = in_seconds(horizon - Instant{0}).value;
  for (Draws::Process& process : draws_->processes)
    while (process.next <= std::min(end, last_seconds)) {
      const auto& elements = process.elements;
      const auto cable =
          elements.empty() ? std::optional<LinkId>() : elements[process.random() % elements.size()];
      strike(process.fault, Draws::occurrence_now(process), cable, cluster, draws_->drawn);
      Draws::advance(process);
    }
  return draws_->drawn;
}

}  // namespace railwright::emulator
