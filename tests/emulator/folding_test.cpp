#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <random>

#include "collectives/ways.hpp"
#include "emulator/plan_order.hpp"
#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;

namespace {

// Folded and unfolded times may differ by the rounding of ends to picoseconds, once per event of
// the critical path, and by that of rates.
bool same(Picoseconds one, Picoseconds other) {
  constexpr double events = 1000;  // of a critical path, at least
  const double difference = std::abs(static_cast<double>(one.count - other.count));
  const double limit = std::max(1e-9 * static_cast<double>(one.count), 2 * events);
  return difference <= limit;
}

int below(std::mt19937_64& random, int end) {
  return static_cast<int>(random() % static_cast<std::uint64_t>(end));
}

void choose_network(std::mt19937_64& random, int nodes, topology::ClusterSpec& spec) {
  topology::NetworkSpec& network = spec.networks[0];
  constexpr std::array modes = {
      topology::RoutingMode::spray,           topology::RoutingMode::d_mod_k,
      topology::RoutingMode::ecmp_hash,       topology::RoutingMode::adaptive,
      topology::RoutingMode::dimension_order, topology::RoutingMode::shortest_path};
  spec.routing.mode = modes[static_cast<std::size_t>(below(random, modes.size()))];
  if (below(random, 2) == 0) spec.routing.cross_rail = topology::CrossRail::spine;
  if (below(random, 3) == 0) network.shape = topology::Shape::fat_tree;
  network.oversubscription = 1 + below(random, 2);
  network.nodes_per_leaf = 2 * (1 + below(random, std::min(nodes, 8)));
  if (nodes > 2 && below(random, 2) == 0) {
    network.tiers = 3;
    network.nodes_per_leaf = 2;
    network.leaves_per_pod = 1 + below(random, 3);
  }
  network.reduces = below(random, 2) == 0;
}

topology::Cluster random_cluster(std::mt19937_64& random, int nodes) {
  topology::ClusterSpec spec = lab_cluster(nodes).spec;
  spec.link_classes[0].kind = "nvlink-4";  // whose switches reduce
  if (nodes > 1) choose_network(random, nodes, spec);
  if (below(random, 3) == 0) {  // the last node has slower chips
    topology::AcceleratorKind slower = spec.accelerator_kinds[0];
    slower.name = "slower-chip";
    slower.peak[topology::Precision::bf16] = teraflops(70);
    spec.accelerator_kinds.push_back(slower);
    topology::NodeGroup last = spec.nodes[0];
    if (nodes > 1) {
      spec.nodes[0].count = nodes - 1;
      last.count = 1;
      last.name = "slower";
      last.accelerator_kind = 1;
      spec.nodes.push_back(last);
    }
  }
  return must(topology::build_cluster(spec));
}

std::vector<std::string> layouts(int ranks) {
  std::vector<std::string> all;
  for (int tp = 1; tp <= std::min(ranks, 8); tp *= 2)
    for (int pp = 1; tp * pp <= ranks && pp <= 4; pp *= 2) {
      const int dp = ranks / tp / pp;
      const std::string base = "tp=" + std::to_string(tp) + ",pp=" + std::to_string(pp) +
                               ",dp=" + std::to_string(dp) +
                               (tp > 1 ? ",sequence_parallel=true" : "");
      all.push_back(base + (dp > 1 ? ",zero_stage=1" : ""));
      if (dp > 1) all.push_back(base + ",zero_stage=3");
      const int ep = std::min(dp * tp, 8);
      if (ep > 1) all.push_back(base + ",ep=" + std::to_string(ep));
      if (dp > 1) all.push_back(base + ",ep=2,etp=" + std::to_string(std::min(tp, 2)));
      const std::string halves = "tp=" + std::to_string(tp) + ",pp=" + std::to_string(pp) +
                                 ",cp=2,dp=" + std::to_string(dp / 2) +
                                 (tp > 1 ? ",sequence_parallel=true" : "");
      if (dp > 1) all.push_back(halves);
      if (dp > 1) all.push_back(halves + ",context=all_to_all,zero_stage=1");
      if (dp > 1) all.push_back(base + ",zero_stage=2,shard=" + std::to_string(dp / 2));
      if (pp > 1) all.push_back(base + ",vpp=2");
      if (pp > 1) all.push_back(base + ",schedule=zb-h1");
    }
  return all;
}

// Whether all groups of the dimension can run it.
bool applies(const collectives::Schedule& schedule, const Plan& plan, workload::Dimension group,
             const topology::Cluster& cluster) {
  const auto p = static_cast<std::int64_t>(schedule.ranks);
  if (p > 64 && schedule.algorithm > collectives::Algorithm::binomial_tree &&
      schedule.algorithm != collectives::Algorithm::hierarchical)
    return false;  // seconds, unfolded
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank)
    if (!collectives::why_not(schedule, members_of(plan, group, rank), cluster).empty())
      return false;
  return true;
}

// Whatever a plan can carry, not only what is best.
void choose_algorithms(std::mt19937_64& random, const topology::Cluster& cluster, Plan& plan,
                       std::map<collectives::Algorithm, int>& used) {
  for (ScheduleChoice& choice : plan.schedules) {
    std::vector<collectives::Schedule> all;
    for (int i = 0; i < collectives::algorithm_count; ++i) {
      const auto algorithm = static_cast<collectives::Algorithm>(i);
      if (algorithm == collectives::Algorithm::synthesized) continue;
      const auto schedule = collectives::schedule_for(
          choice.operation, algorithm, members_of(plan, choice.group, 0), cluster, kibibytes(256));
      if (applies(schedule, plan, choice.group, cluster)) all.push_back(schedule);
    }
    choice.schedule = all.at(static_cast<std::size_t>(below(random, static_cast<int>(all.size()))));
    ++used[choice.schedule.algorithm];
  }
}

// Some ranks sit in each other's place, so that groups meet on links where they did not.
void swap_places(std::mt19937_64& random, Plan& plan) {
  const auto ranks = static_cast<int>(plan.degrees.world());
  std::map<std::int64_t, int> place;
  for (int i = 0; i < 2; ++i) {
    const int a = below(random, ranks), b = below(random, ranks);
    if (place.contains(a) || place.contains(b) || a == b) continue;
    place[a] = b;
    place[b] = a;
  }
  for (const auto& [rank, accelerator] : place)
    plan.placement.exceptions.push_back({rank, accelerator});
}

StepFaults random_faults(std::mt19937_64& random, const topology::Cluster& cluster) {
  StepFaults faults;
  for (int i = below(random, 6); i > 0; --i) {
    LinkDegradation fault;
    fault.link = {below(random, cluster.graph.links())};
    fault.from = Instant{below(random, 2) * ceil_picoseconds(milliseconds(20)).count};
    if (below(random, 2) == 0) fault.until = fault.from + ceil_picoseconds(milliseconds(30));
    fault.factor = 0.25 * (1 + below(random, 3));
    faults.links.push_back(fault);
  }
  for (int i = below(random, 3); i > 0; --i)
    faults.accelerators.push_back({{below(random, cluster.accelerators())}, 0.5});
  return faults;
}

// Two kinds of accelerators that overlap slows differently, or not at all.
topology::Calibration random_interference(std::mt19937_64& random) {
  topology::Calibration calibration = topology::default_calibration();
  if (below(random, 2) == 0) return calibration;
  for (const char* subject : {"*", "slower-chip"})
    for (const char* parameter : {"compute_interference", "communication_interference"})
      calibration.entries.push_back(
          {subject, parameter, "1", 1 + 0.25 * below(random, 4), 0, 0, 0, 0, "a test"});
  return calibration;
}

void check_equal(const StepResult& folded, const StepResult& plain) {
  CHECK(same(folded.step_time, plain.step_time));
  CHECK(plain.classes == plain.ranks);
  CHECK(folded.classes <= plain.classes);
  REQUIRE(folded.rank_wait.size() == plain.rank_wait.size());
  for (std::size_t rank = 0; rank < plain.rank_wait.size(); ++rank)
    REQUIRE(same(folded.rank_wait[rank], plain.rank_wait[rank]));
  for (std::size_t c = 0; c < plain.class_bytes.size(); ++c) {
    CHECK(folded.class_bytes[c] == Approx(plain.class_bytes[c]).epsilon(1e-9));
    CHECK(folded.class_busy_seconds[c] == Approx(plain.class_busy_seconds[c]).epsilon(1e-7));
  }
  REQUIRE(folded.collectives.size() == plain.collectives.size());
  for (std::size_t i = 0; i < plain.collectives.size(); ++i) {
    CHECK(folded.collectives[i].count == plain.collectives[i].count);
    CHECK(folded.collectives[i].total.value ==
          Approx(plain.collectives[i].total.value).epsilon(1e-8));
    CHECK(folded.collectives[i].expected.value ==
          Approx(plain.collectives[i].expected.value).epsilon(1e-8));
  }
}

}  // namespace

TEST_CASE("a folded step is the step that every rank on its own gives") {
  const int nodes_of[] = {1, 2, 3, 4, 8, 16};
  int cases = 0, folded_cases = 0, disturbed_cases = 0;
  std::map<collectives::Algorithm, int> used;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    const int nodes = seed % 50 == 0 ? 128 : nodes_of[below(random, 6)];
    const topology::Cluster cluster = random_cluster(random, nodes);
    const auto names = layouts(cluster.accelerators());
    const std::string degrees = names[static_cast<std::size_t>(below(random, int(names.size())))];
    INFO("seed " << seed << ", " << nodes << " nodes, " << degrees);
    const workload::Degrees parallel = degrees_of(degrees.c_str());
    auto training = shortest(lab_training(1), parallel);
    training.global_batch *= 1 + below(random, 6);
    if (parallel.ep > 1) training.model.experts = {8, 2, 512, 256, 1, false, false};
    auto made = make_plan(cluster, training, parallel, topology::default_calibration());
    if (!made) continue;
    ++cases;
    if (below(random, 3) == 0) swap_places(random, *made);
    if (below(random, 2) == 0) choose_algorithms(random, cluster, *made, used);
    StepOptions options;
    options.faults = random_faults(random, cluster);
    options.listed_links = 1 << 20;
    const topology::Calibration calibration = random_interference(random);
    const StepResult folded = must(emulate_step(cluster, *made, calibration, options));
    options.fold = false;
    const StepResult plain = must(emulate_step(cluster, *made, calibration, options));
    check_equal(folded, plain);
    disturbed_cases += time_of(plain.blame, "interference").count > 0;
    folded_cases += folded.classes < plain.classes;
  }
  CHECK(cases > 100);
  CHECK(3 * folded_cases > cases);
  CHECK(6 * disturbed_cases > cases);
  CHECK(used.size() >= 12);  // algorithms
}

TEST_CASE("a step that one period of the fabric tells is the step of all ranks") {
  using workload::Dimension;
  constexpr std::array orders = {workload::default_order,
                                 workload::RankOrder{Dimension::tp, Dimension::pp, Dimension::cp,
                                                     Dimension::ep, Dimension::dp}};
  int told = 0, refused = 0, kinds = 0;
  std::map<collectives::Algorithm, int> used;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    std::mt19937_64 random(seed);
    topology::ClusterSpec spec = lab_cluster(8 << below(random, 2)).spec;
    spec.link_classes[0].kind = "nvlink-4";
    choose_network(random, 2, spec);
    spec.networks[0].nodes_per_leaf = 2;
    spec.networks[0].tiers = 2 + below(random, 2);
    spec.networks[0].leaves_per_pod = spec.networks[0].tiers == 3 ? 1 + below(random, 2) : 0;
    const topology::Cluster cluster = must(topology::build_cluster(spec));
    const auto names = layouts(cluster.accelerators());
    const std::string degrees = names[static_cast<std::size_t>(below(random, int(names.size())))];
    INFO("seed " << seed << ", " << degrees);
    const workload::Degrees parallel = degrees_of(degrees.c_str());
    auto training = shortest(lab_training(1), parallel);
    training.global_batch *= 1 + below(random, 3);
    if (parallel.ep > 1) training.model.experts = {8, 2, 512, 256, 1, false, false};
    const topology::Calibration calibration = topology::default_calibration();
    auto made = make_plan_in_order(orders[static_cast<std::size_t>(below(random, 2))], cluster,
                                   training, parallel, calibration);
    if (!made) continue;
    if (below(random, 2) == 0) choose_algorithms(random, cluster, *made, used);
    StepOptions options;
    options.most_looked_at = made->degrees.world() - 1;
    const auto folded = emulate_step(cluster, *made, calibration, options);
    refused += !folded;
    if (!folded) continue;
    ++told;
    kinds += made->degrees.pp > 1 && folded->classes > 1;
    options.fold = false;
    check_equal(*folded, must(emulate_step(cluster, *made, calibration, options)));
    // And the same as if all ranks were looked at.
    options = {};
    options.faults.accelerators.push_back({{0}, 1});
    const StepResult whole = must(emulate_step(cluster, *made, calibration, options));
    CHECK(whole.step_time == folded->step_time);
  }
  CHECK(told > 40);
  CHECK(refused > 20);
  CHECK(kinds > 10);
  CHECK(used.size() >= 12);
}
