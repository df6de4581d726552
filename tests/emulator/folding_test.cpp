#include <cmath>
#include <random>

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

topology::Cluster random_cluster(std::mt19937_64& random, int nodes) {
  topology::ClusterSpec spec = lab_cluster(nodes).spec;
  if (nodes > 1) {
    topology::NetworkSpec& network = spec.networks[0];
    const topology::RoutingMode modes[] = {
        topology::RoutingMode::spray, topology::RoutingMode::d_mod_k,
        topology::RoutingMode::ecmp_hash, topology::RoutingMode::adaptive};
    spec.routing.mode = modes[below(random, 4)];
    network.nodes_per_leaf = 2 * (1 + below(random, nodes));
    network.oversubscription = 1 + below(random, 2);
  }
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
    for (int pp = 1; tp * pp <= ranks && pp <= 4; pp *= 2)
      all.push_back("tp=" + std::to_string(tp) + ",pp=" + std::to_string(pp) + ",dp=" +
                    std::to_string(ranks / tp / pp) + (tp > 1 ? ",sequence_parallel=true" : "") +
                    (ranks / tp / pp > 1 ? ",zero_stage=1" : ""));
  return all;
}

StepFaults random_faults(std::mt19937_64& random, const topology::Cluster& cluster) {
  StepFaults faults;
  for (int i = below(random, 4); i > 0; --i) {
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

}  // namespace

TEST_CASE("a folded step is the step that every rank on its own gives") {
  const int nodes_of[] = {1, 2, 3, 4, 8};
  int folded_cases = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    std::mt19937_64 random(seed);
    const int nodes = nodes_of[below(random, 5)];
    const topology::Cluster cluster = random_cluster(random, nodes);
    const auto names = layouts(cluster.accelerators());
    const std::string degrees = names[static_cast<std::size_t>(below(random, int(names.size())))];
    INFO("seed " << seed << ", " << nodes << " nodes, " << degrees);
    const auto training = lab_training(2 * cluster.accelerators());
    const auto made =
        make_plan(cluster, training, degrees_of(degrees.c_str()), topology::default_calibration());
    if (!made) continue;
    StepOptions options;
    options.faults = random_faults(random, cluster);
    const StepResult folded =
        must(emulate_step(cluster, *made, topology::default_calibration(), options));
    options.fold = false;
    const StepResult plain =
        must(emulate_step(cluster, *made, topology::default_calibration(), options));
    CHECK(same(folded.step_time, plain.step_time));
    CHECK(plain.classes == plain.ranks);
    CHECK(folded.classes <= plain.classes);
    folded_cases += folded.classes < plain.classes;
    REQUIRE(folded.rank_wait.size() == plain.rank_wait.size());
    for (std::size_t rank = 0; rank < plain.rank_wait.size(); ++rank)
      REQUIRE(same(folded.rank_wait[rank], plain.rank_wait[rank]));
    for (std::size_t c = 0; c < plain.class_bytes.size(); ++c)
      CHECK(folded.class_bytes[c] == Approx(plain.class_bytes[c]).epsilon(1e-9));
    REQUIRE(folded.collectives.size() == plain.collectives.size());
    for (std::size_t i = 0; i < plain.collectives.size(); ++i) {
      CHECK(folded.collectives[i].count == plain.collectives[i].count);
      CHECK(folded.collectives[i].total.value ==
            Approx(plain.collectives[i].total.value).epsilon(1e-8));
    }
  }
  CHECK(folded_cases > 100);
}
