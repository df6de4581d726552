#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <tuple>

#include "collectives/bundle_loads.hpp"
#include "collectives/cost.hpp"
#include "collectives/maker.hpp"
#include "tests/collectives/groups.hpp"
#include "topology/topology.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;
using topology::AcceleratorId;
using topology::LinkId;

namespace {

// Sample, source, target, channel, chunks, waits.
using Connection = std::tuple<int, int, int, int, std::int64_t, bool>;

std::vector<Connection> from_layers(const Schedule& schedule, int phase) {
  const Maker& maker = maker_of(schedule);
  std::vector<Connection> all;
  for (const Layer& layer : maker.layers(schedule, phase)) {
    int last_channel = 0;
    maker.connections(schedule, layer.pattern, [&](int source, int target, int channel) {
      CHECK(channel >= last_channel);  // channel by channel
      last_channel = channel;
      all.push_back(
          {layer.sample, source, target, layer.channel + channel, layer.chunks, layer.waits});
    });
  }
  std::ranges::sort(all);
  return all;
}

std::vector<Connection> from_sends(const Schedule& schedule, int phase, std::int64_t steps) {
  const Maker& maker = maker_of(schedule);
  std::vector<Connection> all;
  const auto samples = samples_of(schedule, phase, steps);
  for (std::size_t i = 0; i < samples.size(); ++i)
    for (int rank = 0; rank < schedule.ranks; ++rank)
      for (const Send& send : sends_from(schedule, rank, phase, samples[i].step))
        all.push_back({static_cast<int>(i), send.source, send.target, send.channel,
                       send.chunks.count,
                       maker.waits == nullptr || maker.waits(schedule, phase, send)});
  std::ranges::sort(all);
  return all;
}

// With trees over nodes and hierarchical schedules in segments.
std::vector<Schedule> all_schedules(int ranks) {
  std::vector<Schedule> all = schedules_of(ranks);
  for (const Algorithm algorithm : {Algorithm::double_tree, Algorithm::hierarchical})
    for (int inner = 2; inner <= ranks; ++inner)
      for (const int segments : {1, 2, 5, 30}) {
        const Schedule schedule{Operation::all_reduce, algorithm, ranks, 1, inner, 0, segments};
        if (why_not(schedule).empty()) all.push_back(schedule);
      }
  return all;
}

topology::Cluster fat_tree(topology::RoutingMode mode, int nodes) {
  const auto wire = [](const char* name, double gigabytes, double latency) {
    topology::LinkClass link;
    link.name = name;
    link.capacity = gigabytes_per_second(gigabytes);
    link.latency = microseconds(latency);
    return link;
  };
  topology::ClusterSpec spec;
  spec.name = "fat-tree";
  spec.link_classes = {wire("inside", 400, 1), wire("pcie", 60, 0.5), wire("edge", 50, 2),
                       wire("spine", 40, 3), wire("core", 30, 4)};
  topology::AcceleratorKind kind;
  kind.name = "test-chip";
  kind.peak = {{topology::Precision::bf16, teraflops(100)}};
  spec.accelerator_kinds = {kind};
  topology::NodeGroup group;
  group.name = "node";
  group.count = nodes;
  group.accelerators = 2;
  group.scale_up = topology::Shape::switched;
  group.scale_up_class = topology::ClassId{0};
  group.nic = topology::NicSpec{topology::ClassId{1}, 1};
  spec.nodes = {group};
  topology::NetworkSpec network;
  network.name = "fabric";
  network.shape = topology::Shape::rail_fat_tree;
  network.edge_class = {2};
  network.spine_class = {3};
  network.global_class = {4};
  network.tiers = 3;
  network.nodes_per_leaf = 2;
  network.leaves_per_pod = 2;
  spec.networks = {network};
  spec.routing.mode = mode;
  auto cluster = topology::build_cluster(std::move(spec));
  if (!cluster) FAIL(to_string(cluster.error()));
  return std::move(*cluster);
}

std::vector<AcceleratorId> shuffled(int count, std::mt19937_64& random) {
  std::vector<AcceleratorId> members;
  for (int i = 0; i < count; ++i) members.push_back({i});
  for (std::size_t i = members.size(); i > 1; --i) std::swap(members[i - 1], members[random() % i]);
  return members;
}

// Share by link of each phase.
std::vector<std::map<int, double>> by_link(const std::vector<PhaseLoad>& phases) {
  std::vector<std::map<int, double>> all;
  for (const PhaseLoad& phase : phases) {
    all.emplace_back();
    for (const auto& use : phase.consumption) all.back()[use.link.index] = use.share;
  }
  return all;
}

constexpr topology::RoutingMode modes[] = {
    topology::RoutingMode::spray, topology::RoutingMode::d_mod_k, topology::RoutingMode::ecmp_hash};

}  // namespace

TEST_CASE("what a maker tells in patterns is what its sends say") {
  int told = 0;
  for (int ranks = 2; ranks <= 24; ++ranks)
    for (const Schedule& schedule : all_schedules(ranks)) {
      const auto phases = phases_of(schedule);
      for (int phase = 0; phase < static_cast<int>(phases.size()); ++phase) {
        const Maker& maker = maker_of(schedule);
        if (maker.layers == nullptr || maker.layers(schedule, phase).empty()) continue;
        INFO(text_of(schedule) << ", phase " << phase);
        REQUIRE(from_layers(schedule, phase) ==
                from_sends(schedule, phase, phases[static_cast<std::size_t>(phase)].steps));
        ++told;
      }
    }
  CHECK(told > 1000);
}

TEST_CASE("a link stands for its set: folded phases are the phases") {
  std::mt19937_64 random(5);
  for (const topology::RoutingMode mode : modes) {
    const topology::Cluster cluster = fat_tree(mode, 8);
    const topology::Router router(cluster);
    const topology::Calibration calibration;
    const auto members = shuffled(16, random);
    for (const Schedule& schedule : all_schedules(16)) {
      INFO(text_of(schedule) << ", mode " << static_cast<int>(mode));
      std::vector<LinkId> apart;
      for (int i = 0; i < 5; ++i)
        apart.push_back({static_cast<int>(random() % cluster.graph.links())});
      const auto plain = by_link(phase_loads(schedule, mebibytes(3), members, router, calibration));
      const FoldedLoads folded =
          folded_phase_loads(schedule, mebibytes(3), members, router, calibration, apart);
      const auto of_set = by_link(folded.phases);
      std::map<int, int> seen;  // links that sets name; here they name all
      for (const LinkSet& set : folded.sets) {
        REQUIRE(set.count == std::ssize(set.lowest));
        for (const LinkId link : set.lowest) {
          ++seen[link.index];
          const bool alone = std::ranges::find(apart, link) != apart.end();
          if (alone) CHECK(set.count == 1);
          for (std::size_t p = 0; p < plain.size(); ++p) {
            const auto one = plain[p].find(link.index);
            const auto all = of_set[p].find(set.lowest.front().index);
            REQUIRE((one == plain[p].end()) == (all == of_set[p].end()));
            if (one != plain[p].end()) REQUIRE(one->second == all->second);
          }
        }
      }
      for (const auto& phase : plain)
        for (const auto& [link, share] : phase) REQUIRE(seen[link] == 1);
    }
  }
}

TEST_CASE("loads in bundles are the loads of their links") {
  std::mt19937_64 random(6);
  for (const topology::RoutingMode mode : modes) {
    const topology::Cluster cluster = fat_tree(mode, 8);
    const topology::Router router(cluster);
    const topology::Calibration calibration;
    BundleLoads bundles(router, calibration);
    const auto members = shuffled(16, random);
    for (const Schedule& schedule : all_schedules(16)) {
      INFO(text_of(schedule) << ", mode " << static_cast<int>(mode));
      const auto plain = phase_loads(schedule, mebibytes(3), members, router, calibration);
      bundles.find(schedule, mebibytes(3), members);  // one value for all, one after another
      REQUIRE(bundles.phases().size() == plain.size());
      std::vector<std::map<int, double>> found(plain.size());
      std::vector<LinkId> links;
      for (const BundleLoads::Use& use : bundles.uses()) {
        links.clear();
        router.append_links_of(use.bundle, links);
        for (const LinkId link : links)
          for (std::size_t p = 0; p < plain.size(); ++p)
            found[p][link.index] += bundles.loads_of(use.kind)[p];
      }
      for (std::size_t p = 0; p < plain.size(); ++p) {
        CHECK(bundles.phases()[p].step_latency == plain[p].step_latency);
        CHECK(bundles.phases()[p].bytes_per_step == plain[p].bytes_per_step);
        std::erase_if(found[p], [](const auto& use) { return use.second == 0; });
        const auto expected = by_link({plain[p]}).front();
        REQUIRE(found[p].size() == expected.size());
        for (const auto& [link, share] : expected)
          REQUIRE(found[p].at(link) == Approx(share).epsilon(1e-12));
      }
    }
  }
}

TEST_CASE("a group that lies as an earlier one has the loads of one that is traced") {
  std::mt19937_64 random(8);
  for (const topology::RoutingMode mode : modes) {
    const topology::Cluster cluster = fat_tree(mode, 16);
    const topology::Router router(cluster);
    const topology::Calibration calibration;
    BundleLoads kept(router, calibration);
    int moved = 0;
    for (const Schedule& schedule : all_schedules(6)) {
      INFO(text_of(schedule) << ", mode " << static_cast<int>(mode));
      auto members = shuffled(16, random);  // of the first half
      members.resize(6);
      for (const int nodes : {0, 1, 2, 4, 8}) {
        std::vector<AcceleratorId> further;
        for (const AcceleratorId member : members) further.push_back({member.index + 2 * nodes});
        moved += nodes > 0 && router.move_between(members, further).has_value();
        kept.find(schedule, mebibytes(3), further);
        BundleLoads fresh(router, calibration);
        fresh.find(schedule, mebibytes(3), further);
        REQUIRE(kept.phases().size() == fresh.phases().size());
        for (std::size_t p = 0; p < fresh.phases().size(); ++p) {
          CHECK(kept.phases()[p].step_latency == fresh.phases()[p].step_latency);
          CHECK(kept.phases()[p].bytes_per_step == fresh.phases()[p].bytes_per_step);
        }
        std::map<int, std::vector<double>> expected, found;
        for (const auto& use : fresh.uses()) expected[use.bundle.index] = fresh.loads_of(use.kind);
        for (const auto& use : kept.uses()) found[use.bundle.index] = kept.loads_of(use.kind);
        REQUIRE(found == expected);
      }
    }
    CHECK((moved > 0) == (mode != topology::RoutingMode::ecmp_hash));
  }
}

// Periods of a kind are told by the first one: as many kinds as there are numbers in `kinds`, in
// turn.
std::vector<int> in_turn(int periods, int kinds) {
  std::vector<int> stands_for;
  for (int period = 0; period < periods; ++period) stands_for.push_back(period % kinds);
  return stands_for;
}

TEST_CASE("what periods do alike is told by one of them, and only where they do") {
  int compared = 0, refused = 0, cross = 0;
  for (const topology::RoutingMode mode : modes) {
    const topology::Cluster cluster = fat_tree(mode, 32);
    const topology::Router router(cluster);
    const topology::Calibration calibration;
    const int period = router.period(), accelerators = cluster.accelerators();
    if (period == 0) continue;
    const int periods = accelerators / period;
    REQUIRE(periods >= 4);
    for (const int kinds : {1, 2}) {
      const std::vector<int> stands_for = in_turn(periods, kinds);
      for (const int stride : {1, 2, period / 2, period}) {
        if (stride < 1) continue;
        std::vector<AcceleratorId> members, last;  // which is told as the former is
        for (int i = 0; i < accelerators; i += stride) members.push_back({i});
        for (int i = stride - 1; i < accelerators; i += stride) last.push_back({i});
        BundleLoads all(router, calibration), one(router, calibration, stands_for);
        for (const Schedule& schedule : all_schedules(static_cast<int>(members.size()))) {
          if (schedule.operation == Operation::send) continue;  // one hop, told wherever it is
          INFO(text_of(schedule) << ", mode " << static_cast<int>(mode) << ", stride " << stride
                                 << ", kinds " << kinds);
          if (!one.find(schedule, mebibytes(3), members)) {
            ++refused;
            continue;
          }
          ++compared;
          cross += one.copies() > 1;
          one.find(schedule, mebibytes(3), last);
          all.find(schedule, mebibytes(3), last);
          CHECK(one.copies() == periods / kinds);
          REQUIRE(one.phases().size() == all.phases().size());
          for (std::size_t p = 0; p < all.phases().size(); ++p) {
            CHECK(one.phases()[p].step_latency.value ==
                  Approx(all.phases()[p].step_latency.value).epsilon(1e-12));
            CHECK(one.phases()[p].bytes_per_step == all.phases()[p].bytes_per_step);
          }
          std::map<int, std::vector<double>> expected, found;
          for (const auto& use : all.uses()) expected[use.bundle.index] = all.loads_of(use.kind);
          for (const auto& use : one.uses()) {
            const int own = router.period_of(use.bundle);
            CHECK(own < kinds);
            for (int other = own; other < periods; other += kinds)
              found[router.in_period(use.bundle, other).index] = one.loads_of(use.kind);
          }
          REQUIRE(found.size() == expected.size());
          for (const auto& [bundle, loads] : expected) {
            REQUIRE(found.contains(bundle));
            for (std::size_t p = 0; p < loads.size(); ++p)
              REQUIRE(found[bundle][p] == Approx(loads[p]).epsilon(1e-12));
          }
        }
      }
    }
  }
  CHECK(compared > 200);
  CHECK(cross > 100);
  CHECK(refused > 50);  // trees have a root
}
