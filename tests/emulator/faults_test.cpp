#include "emulator/faults.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

using namespace railwright;
using namespace railwright::emulator;
using topology::LinkId;

namespace {

const topology::Cluster& cluster() {
  static const topology::Cluster made = topology::load_cluster("dgx-h100-4").value();
  return made;
}

Result<Faults> read(const std::string& events) {
  return parse_faults("schema_version: 1\nevents:\n" + events, "faults.yaml", cluster());
}

// All errors of one event list as text.
std::string complaint(const std::string& events) {
  const auto faults = read(events);
  REQUIRE_FALSE(faults);
  return to_string(faults.error());
}

std::string step_complaint(const std::string& events) {
  const auto step =
      read(events).and_then([](const Faults& f) { return collective_faults(f, cluster()); });
  REQUIRE_FALSE(step);
  return to_string(step.error());
}

StepFaults step_of(const std::string& events) {
  const auto step =
      read(events).and_then([](const Faults& f) { return collective_faults(f, cluster()); });
  if (!step) FAIL(to_string(step.error()));
  return *step;
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("every kind of event is read with its times") {
  const auto faults = read(R"(
  - {target: "node0/nic3->rail3/leaf0", kind: degraded, at: 10 ms, factor: 0.5, duration: 2 s}
  - {target: node1/gpu4, kind: slow, at: 0 s, factor: 0.8}
  - {target: rail-fibre, kind: flap, rate: 0.05/year, duration: 3 s, correlated_with: node2}
  - {target: rail1/leaf0, kind: down, rate: 2 /year, repair: {exponential: 2 h}}
  - {target: node3, kind: dead, at: 1 d}
)");
  if (!faults) FAIL(to_string(faults.error()));
  REQUIRE(faults->events.size() == 5);
  CHECK(faults->events[0].duration == seconds(2));
  CHECK(faults->events[0].at == milliseconds(10));
  CHECK(faults->events[2].per_year == 0.05);
  CHECK(faults->events[2].correlated_with == "node2");
  CHECK(faults->events[3].repair == Distribution{"exponential", seconds(7200)});
  CHECK(faults->events[4].kind == FaultKind::dead);
  CHECK(faults->events[1].place.line == 5);
}

TEST_CASE("the same faults have the same canonical JSON, which reads back") {
  const auto a = read("  - {target: node0, kind: degraded, at: 10 ms, factor: 0.5}\n");
  const auto b = read("  - factor: 0.5\n    at: 0.01 s\n    kind: degraded\n    target: node0\n");
  CHECK(canonical_json(*a) == canonical_json(*b));
  CHECK(canonical_json(*a) ==
        R"({"schema_version":1,"events":[{"target":"node0","kind":"degraded","at_s":0.01,)"
        R"("factor":0.5}]})");
}

TEST_CASE("an unknown target is refused with the closest names of the cluster") {
  CHECK_THAT(complaint("  - {target: node0/gpu9, kind: slow, at: 0 s, factor: 0.5}\n"),
             Contains("faults.yaml:3:14") && Contains("unknown target 'node0/gpu9'") &&
                 Contains("node0/gpu7"));
  CHECK_THAT(complaint("  - {target: rail-fiber, kind: degraded, at: 0 s, factor: 0.5}\n"),
             Contains("rail-fibre"));
  CHECK_THAT(complaint("  - {target: node7, kind: degraded, at: 0 s, factor: 0.5}\n"),
             Contains("node3"));
  CHECK_THAT(
      complaint("  - {target: node0/nic3->rail4/leaf0, kind: degraded, at: 0 s, factor: 0.5}\n"),
      Contains("'node0/nic3' has links to"));
  CHECK_THAT(
      complaint("  - {target: node0/nic3->rail3/leef0, kind: degraded, at: 0 s, factor: 0.5}\n"),
      Contains("there is no 'rail3/leef0'") && Contains("rail3/leaf0"));
}

TEST_CASE("what contradicts itself is refused, all of it at once") {
  CHECK_THAT(complaint("  - {target: node0, kind: degraded, factor: 0.5}\n"),
             Contains("neither 'at' nor 'rate'"));
  CHECK_THAT(complaint("  - {target: node0, kind: degraded, at: 0 s, rate: 1/year, factor: 1}\n"),
             Contains("both 'at' and 'rate'"));
  CHECK_THAT(complaint("  - {target: node0, kind: degraded, at: 0 s}\n"), Contains("factor"));
  CHECK_THAT(complaint("  - {target: node0, kind: degraded, at: 0 s, factor: 0}\n"),
             Contains("above 0"));
  CHECK_THAT(complaint("  - {target: node0, kind: degraded, at: 0 s, factor: 1.5}\n"),
             Contains("factor"));
  CHECK_THAT(complaint("  - {target: node0, kind: down, at: 0 s, factor: 0.5}\n"),
             Contains("'down' takes no factor"));
  CHECK_THAT(complaint("  - {target: node0, kind: dead, at: 0 s, duration: 1 s}\n"),
             Contains("does not come back"));
  CHECK_THAT(complaint("  - {target: rail0/leaf0, kind: slow, at: 0 s, factor: 0.5}\n"),
             Contains("no accelerator"));
  CHECK_THAT(complaint("  - {target: node0, kind: flap, rate: 3, duration: 1 s}\n"),
             Contains("rate"));
  CHECK_THAT(complaint("  - {target: node0, kind: flap, at: 5, duration: 1 s}\n"), Contains("at"));
  const std::string both = complaint(
      "  - {target: nowhere, kind: broken, at: 0 s}\n"
      "  - {target: node0, kind: degraded, at: 0 s, factor: 0.5, colour: red}\n");
  CHECK_THAT(both, Contains("nowhere") && Contains("broken") && Contains("colour"));
}

TEST_CASE("a link class, a node, a switch and a link degrade the links that they stand for") {
  const auto links = [](const std::string& target) {
    const auto step =
        step_of("  - {target: \"" + target + "\", kind: degraded, at: 1 us, factor: 0.5}\n");
    for (const LinkDegradation& degradation : step.links) {
      CHECK(degradation.from == Instant{1'000'000});
      CHECK(degradation.factor == 0.5);
      CHECK_FALSE(degradation.until);
    }
    return step.links;
  };
  const topology::Graph& graph = cluster().graph;
  CHECK(links("node0/nic3->rail3/leaf0").size() == 1);
  CHECK(links("node0/nic3->rail3/leaf0")[0].link == graph.link_named("node0/nic3->rail3/leaf0"));
  CHECK(links("node0/nic3").size() == 4);  // bridge and leaf, both ways
  std::size_t fibres = 0;
  for (int l = 0; l < graph.links(); ++l)
    if (graph.class_of({l}).name == "rail-fibre") ++fibres;
  CHECK(links("rail-fibre").size() == fibres);
  // A node: 8 GPUs to the NVSwitch, 8 GPU-bridge, 8 bridge-NIC, 8 NIC-leaf, each both ways.
  CHECK(links("node2").size() == 64);
}

TEST_CASE("a slow node slows all of its accelerators, and a correlated target shares the event") {
  const auto step = step_of(
      "  - {target: node1, kind: slow, at: 0 s, factor: 0.9, correlated_with: node2/gpu0}\n");
  REQUIRE(step.accelerators.size() == 9);
  CHECK(step.accelerators.front().accelerator == topology::AcceleratorId{8});
  CHECK(step.accelerators.back().accelerator == topology::AcceleratorId{16});
  CHECK(step.accelerators.back().factor == 0.9);
}

TEST_CASE("events that one collective cannot honour are refused by name and place") {
  CHECK_THAT(step_complaint("  - {target: rail0/leaf0, kind: down, at: 0 s}\n"),
             Contains("faults.yaml:3:5") && Contains("'rail0/leaf0'") && Contains("a loss"));
  CHECK_THAT(step_complaint("  - {target: rail0/leaf0, kind: dead, at: 0 s}\n"),
             Contains("a loss"));
  CHECK_THAT(step_complaint("  - {target: rail0/leaf0, kind: flap, at: 0 s, duration: 1 s}\n"),
             Contains("a flap"));
  CHECK_THAT(
      step_complaint("  - {target: rail0/leaf0, kind: degraded, rate: 1/year, factor: 0.5}\n"),
      Contains("random times"));
  CHECK_THAT(step_complaint("  - {target: rail0/leaf0, kind: degraded, at: 0 s, factor: 0.5, "
                            "repair: {fixed: 1 h}}\n"),
             Contains("repair"));
  CHECK_THAT(step_complaint("  - {target: node0/gpu0, kind: slow, at: 1 s, factor: 0.5}\n"),
             Contains("turns slow"));
}

TEST_CASE("what is nearly dead is refused, also when several events add up to it") {
  const std::string slow = "  - {target: node0, kind: slow, at: 0 s, factor: 1e-4}\n";
  CHECK(step_of(slow).accelerators.size() == 8);
  CHECK_THAT(step_complaint(slow + slow), Contains("faults.yaml:3:5") && Contains("1e-08"));
  const std::string link = "  - {target: rail-fibre, kind: degraded, at: 0 s, factor: 1e-200}\n";
  CHECK_THAT(step_complaint(link + link), Contains("down"));
}

TEST_CASE("a degradation that would end after event time lasts") {
  const auto step = step_of(
      "  - {target: rail-fibre, kind: degraded, at: 100 d, duration: 100 d, factor: 0.5}\n");
  REQUIRE_FALSE(step.links.empty());
  CHECK_FALSE(step.links.front().until);
}

TEST_CASE("factors multiply where degradations of a link meet, and links do not mix") {
  const LinkId a{3}, b{1};
  const auto changes = capacity_changes(
      {{a, {10}, Instant{30}, 0.5}, {b, {20}, std::nullopt, 0.25}, {a, {20}, Instant{40}, 0.1}});
  const std::vector<std::tuple<std::int64_t, int, double>> expected = {
      {10, 3, 0.5}, {20, 1, 0.25}, {20, 3, 0.05}, {30, 3, 0.1}, {40, 3, 1}};
  REQUIRE(changes.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(changes[i].at.picoseconds == std::get<0>(expected[i]));
    CHECK(changes[i].link.index == std::get<1>(expected[i]));
    CHECK(changes[i].factor == Approx(std::get<2>(expected[i])));
  }
}

TEST_CASE("the examples are read, and a collective honours degraded-rail.yaml") {
  const std::filesystem::path folder = std::string(RAILWRIGHT_SOURCE_DIR) + "/examples/faults";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto faults = load_faults(entry.path().string(), cluster());
    if (!faults) FAIL(to_string(faults.error()));
    ++files;
  }
  CHECK(files >= 2);
  const auto degraded = load_faults((folder / "degraded-rail.yaml").string(), cluster());
  CHECK(collective_faults(*degraded, cluster()).has_value());
  CHECK_FALSE(load_faults((folder / "nowhere.yaml").string(), cluster()));
}

namespace {

FaultSequence sequence_of(const std::string& events, std::uint64_t seed) {
  const auto faults = read(events);
  if (!faults) FAIL(to_string(faults.error()));
  auto sequence = FaultSequence::make(*faults, cluster(), seed);
  if (!sequence) FAIL(to_string(sequence.error()));
  return std::move(*sequence);
}

constexpr Instant days(double n) { return {static_cast<std::int64_t>(n * 86400e12)}; }

}  // namespace

TEST_CASE("a step goes through everything: losses have factor 0, and their names") {
  auto sequence = sequence_of(R"(
  - {target: node1/gpu4, kind: slow, at: 10 ms, factor: 0.5, duration: 20 ms}
  - {target: "node0/nic3->rail3/leaf0", kind: flap, at: 1 ms, duration: 2 ms}
  - {target: node2/gpu1, kind: dead, at: 5 ms}
)",
                              1);
  const StepFaults& step = sequence.until(days(1), cluster());
  REQUIRE(step.accelerators.size() == 2);
  CHECK(step.accelerators[0].from == Instant{10'000'000'000});
  CHECK(step.accelerators[0].until == Instant{30'000'000'000});
  CHECK(step.accelerators[1].factor == 0);
  // The cable's one direction, and of the GPU: NVSwitch and bridge, both ways.
  CHECK(step.links.size() == 1 + 4);
  for (const LinkDegradation& link : step.links) CHECK(link.factor == 0);
  REQUIRE(step.losses.size() == 2);
  CHECK(step.losses[1].target == "node2/gpu1");
  CHECK_FALSE(step.losses[1].until);
  CHECK(sequence_of("  - {target: node0, kind: dead, at: 2 d}\n", 1)
            .until(days(1), cluster())
            .losses.empty());
}

TEST_CASE("the same seed draws the same faults, in one go or bit by bit, another seed others") {
  const std::string events =
      "  - {target: rail-fibre, kind: down, rate: 20/year, repair: {exponential: 4 h}}\n"
      "  - {target: node3, kind: dead, rate: 2/year, correlated_with: node1}\n";
  auto one = sequence_of(events, 7), again = sequence_of(events, 7), other = sequence_of(events, 8);
  for (int day = 1; day < 90; ++day) again.until(days(day), cluster());
  const auto& a = one.until(days(90), cluster());
  const auto& b = again.until(days(90), cluster());
  const auto& c = other.until(days(90), cluster());
  const auto times_of = [](const StepFaults& faults) {
    std::multimap<Instant, std::string> times;
    for (const Loss& loss : faults.losses) times.emplace(loss.from, loss.target);
    return times;
  };
  CHECK(times_of(a) == times_of(b));
  CHECK(times_of(a) != times_of(c));
  CHECK(a.links.size() == b.links.size());
}

// 32 cables x 20 / year over 100 days: 32 x 20 x 100 / 365.25 = 175.2 events on average, with a
// standard deviation of sqrt(175.2) = 13.2; the mean of 20 seeds lies within 4 x 13.2 / sqrt(20)
// = 12. Repairs last 4 h on average; the mean of some 3,500 deviates by 4 h / sqrt(3500) = 0.07 h.
TEST_CASE("a rate is per cable of a class, and repairs last as long as their mean says") {
  const std::string events =
      "  - {target: rail-fibre, kind: down, rate: 20/year, repair: {exponential: 4 h}}\n";
  double count = 0, hours = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    auto sequence = sequence_of(events, seed);
    const StepFaults& faults = sequence.until(days(100), cluster());
    CHECK(faults.links.size() == 2 * faults.losses.size());  // both directions
    for (const Loss& loss : faults.losses) {
      ++count;
      hours += in_seconds(*loss.until - loss.from).value / 3600;
    }
  }
  std::size_t fibres = 0;
  for (int l = 0; l < cluster().graph.links(); ++l)
    fibres += cluster().graph.class_of({l}).name == "rail-fibre";
  REQUIRE(fibres == 64);
  CHECK(count / 20 == Approx(32 * 20 * 100 / 365.25).margin(12));
  CHECK(hours / count == Approx(4).margin(0.3));
}
