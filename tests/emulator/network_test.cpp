#include "emulator/network.hpp"

#include <catch2/catch.hpp>
#include <map>

#include "tests/emulator/random_system.hpp"
#include "tests/emulator/star.hpp"

using namespace railwright;
using namespace railwright::emulator;
using topology::LinkId;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const topology::Calibration none;

struct Arrival {
  Instant at;
  Transfer transfer;
};

// Runs all arrivals (ascending by time) to their ends; end instants by transfer.
std::map<TransferId, Instant> run(Network& network, const std::vector<Arrival>& arrivals) {
  std::map<TransferId, Instant> ends;
  std::size_t next = 0;
  for (;;) {
    const auto end = network.next_end();
    if (next < arrivals.size() && (!end || arrivals[next].at <= *end)) {
      network.start(arrivals[next].transfer, arrivals[next].at);
      ++next;
    } else if (end) {
      for (const TransferId id : network.advance_to(*end)) ends[id] = *end;
    } else {
      return ends;
    }
  }
}

// Random pairs, sizes and starts over 12 accelerators.
std::vector<Arrival> random_arrivals(const topology::Graph& graph, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<Arrival> arrivals;
  std::int64_t at = 0;
  const int count = 1 + below(generator, 60);
  for (int i = 0; i < count; ++i) {
    at += below(generator, 3) == 0 ? 0 : below(generator, 20'000'000);
    const int source = below(generator, 12), target = (source + 1 + below(generator, 11)) % 12;
    Transfer transfer = between(graph, source, target, uniform(generator, 1, 1e6));
    if (below(generator, 2) == 0)
      for (auto& load : transfer.consumption) load.share = uniform(generator, 0.1, 1);
    transfer.share = uniform(generator, 0.5, 2);
    if (below(generator, 5) == 0) transfer.cap = uniform(generator, 1e9, 9e9);
    arrivals.push_back({{at}, std::move(transfer)});
  }
  return arrivals;
}

// Another way to the same ends: a full solve after every event, plain doubles in seconds.
std::vector<double> reference_ends(const topology::Graph& graph,
                                   const std::vector<Arrival>& arrivals) {
  std::vector<double> left, end(arrivals.size(), -1);
  double now = 0;
  for (std::size_t started = 0;;) {
    System system;
    for (int l = 0; l < graph.links(); ++l)
      system.capacity.push_back(graph.capacity({l}).bytes_per_second);
    std::vector<std::size_t> active;
    for (std::size_t i = 0; i < started; ++i) {
      if (end[i] >= 0) continue;
      active.push_back(i);
      Variable variable{{}, arrivals[i].transfer.share, arrivals[i].transfer.cap};
      for (const auto& load : arrivals[i].transfer.consumption)
        variable.consumption.push_back({load.link.index, load.share});
      system.variables.push_back(std::move(variable));
    }
    const Allocation allocation = max_min(system);
    double next = infinity;
    for (std::size_t k = 0; k < active.size(); ++k)
      next = std::min(next, now + left[active[k]] / allocation.rate[k]);
    const bool arrives = started < arrivals.size() &&
                         static_cast<double>(arrivals[started].at.picoseconds) * 1e-12 <= next;
    if (arrives) next = static_cast<double>(arrivals[started].at.picoseconds) * 1e-12;
    if (std::isinf(next)) return end;
    for (std::size_t k = 0; k < active.size(); ++k) {
      left[active[k]] -= allocation.rate[k] * (next - now);
      if (!arrives && left[active[k]] <= 1e-9 * arrivals[active[k]].transfer.bytes)
        end[active[k]] = next;
    }
    now = next;
    if (arrives) left.push_back(arrivals[started++].transfer.bytes);
  }
}

}  // namespace
TEST_CASE("ends equal those of a full solve after every event") {
  const auto graph = star(12, gigabytes_per_second(10));
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    const auto arrivals = random_arrivals(graph, seed);
    Network network(graph, none);
    const auto ends = run(network, arrivals);
    const auto expected = reference_ends(graph, arrivals);
    REQUIRE(ends.size() == arrivals.size());
    for (const auto& [id, end] : ends) {
      const double tolerance =
          std::max(1e-9 * expected[id.index], 2e-12 * 2 * static_cast<double>(arrivals.size()));
      REQUIRE(in_seconds({end.picoseconds}).value == Approx(expected[id.index]).margin(tolerance));
    }
  }
}

TEST_CASE("links carry bytes x share of every transfer, no more and no less") {
  const auto graph = star(12, gigabytes_per_second(10));
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    const auto arrivals = random_arrivals(graph, seed);
    std::map<LinkId, double> expected;
    for (const Arrival& arrival : arrivals)
      for (const auto& load : arrival.transfer.consumption)
        expected[load.link] += load.share * arrival.transfer.bytes;
    Network network(graph, none);
    run(network, arrivals);
    for (const auto& [link, bytes] : expected) {
      const LinkUse use = network.use_of(link);
      REQUIRE(use.bytes == Approx(bytes).epsilon(1e-12));
      REQUIRE(use.busy_seconds * 10e9 >= use.bytes * (1 - 1e-9));  // never faster than the line
    }
    CHECK(network.used_links().size() == expected.size());
  }
}

TEST_CASE("links limit transfers for as long as these last, all in all") {
  const auto graph = star(12, gigabytes_per_second(10));
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    std::vector<Arrival> arrivals = random_arrivals(graph, seed);
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      arrivals[i].transfer.cap = infinity;
      arrivals[i].transfer.count = 1 + static_cast<int>(i % 3);
    }
    Network network(graph, none);
    const auto ends = run(network, arrivals);
    double lasted = 0, limited = 0;
    for (const auto& [id, end] : ends) {
      const Arrival& arrival = arrivals[id.index];
      const double picoseconds = static_cast<double>(end.picoseconds - arrival.at.picoseconds);
      lasted += static_cast<double>(arrival.transfer.count) * picoseconds * 1e-12;
    }
    for (const LinkId link : network.used_links()) limited += network.use_of(link).limiting_seconds;
    CHECK(limited == Approx(lasted).epsilon(1e-9));
  }
}

TEST_CASE("pieces follow one another, cover a transfer's life and name links of its route") {
  const auto graph = star(12, gigabytes_per_second(10));
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO("seed " << seed);
    const auto arrivals = random_arrivals(graph, seed);
    Network network(graph, none);
    for (const auto& [id, end] : run(network, arrivals)) {
      Instant reached = arrivals[id.index].at;
      for (const Piece& piece : network.pieces(id)) {
        REQUIRE(piece.end > reached);
        reached = piece.end;
        const auto& links = arrivals[id.index].transfer.consumption;
        REQUIRE((piece.link.index < 0 ||
                 std::any_of(links.begin(), links.end(),
                             [&](const auto& load) { return load.link == piece.link; })));
      }
      REQUIRE(reached == end);
    }
  }
}

TEST_CASE("at every moment the allocation carries its certificate and use is up to date") {
  const auto graph = star(12, gigabytes_per_second(10));
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    Network network(graph, none);
    std::vector<TransferId> ids;
    double moved = 0, last = 0;
    for (const Arrival& arrival : random_arrivals(graph, seed)) {
      while (network.next_end() && *network.next_end() < arrival.at)
        network.advance_to(*network.next_end());
      if (network.next_end() && *network.next_end() == arrival.at) network.advance_to(arrival.at);
      network.start(arrival.transfer, arrival.at);
      REQUIRE(network.violation() == "");
      moved = network.use_of(up(graph, 3)).bytes;
      REQUIRE(moved >= last);
      last = moved;
    }
  }
}

TEST_CASE("a thousand flows over shared links keep their certificate from end to end") {
  const auto graph = star(100, gigabytes_per_second(10));
  std::mt19937_64 generator(11);
  Network network(graph, none);
  for (int i = 0; i < 1000; ++i) {
    const int source = below(generator, 100), target = (source + 1 + below(generator, 99)) % 100;
    network.start(between(graph, source, target, uniform(generator, 1e3, 1e6)), {0});
  }
  int ended = 0;
  while (const auto end = network.next_end()) {
    ended += static_cast<int>(network.advance_to(*end).size());
    if (ended % 10 == 0) REQUIRE(network.violation() == "");
  }
  CHECK(ended == 1000);
}

TEST_CASE("what does not share links does not notice") {
  const auto graph = star(6, gigabytes_per_second(1));
  Network beside(graph, none), alone(graph, none);
  const TransferId id = beside.start(between(graph, 0, 1, 1'000'000), {0});
  beside.next_end();
  const std::int64_t before = beside.solves();
  for (int i = 0; i < 10; ++i)
    for (Network* network : {&beside, &alone}) {
      network->start(between(graph, 2, 3, 1000), {i * 1'000'000});
      network->start(between(graph, 4, 5, 1000), {i * 1'000'000});
      CHECK(network->advance_to({(i + 1) * 1'000'000}).size() == 2);
    }
  CHECK(beside.solves() - before == alone.solves());
  CHECK(beside.next_end() == Instant{1'000'000'000});
  beside.advance_to({1'000'000'000});
  CHECK(beside.pieces(id).size() == 1);
}

TEST_CASE("many flows that start, end and slow down at their own times end as a full solve says") {
  const auto graph = star(40, gigabytes_per_second(10));
  std::mt19937_64 generator(5);
  Network network(graph, none);
  std::int64_t now = 0;
  int started = 0, ended = 0;
  while (ended < 600) {
    const auto end = network.next_end();
    const std::int64_t next = now + below(generator, 2'000'000);
    if (started < 600 && (!end || next < end->picoseconds)) {
      now = next;
      const int source = below(generator, 40), target = (source + 1 + below(generator, 39)) % 40;
      network.start(between(graph, source, target, uniform(generator, 1e4, 1e6)), {now});
      if (++started % 20 == 0)
        network.scale_capacity(up(graph, source), uniform(generator, 0.1, 1), {now});
    } else {
      now = end->picoseconds;
      ended += static_cast<int>(network.advance_to(*end).size());
    }
    if (started % 5 == 0) REQUIRE(network.violation() == "");
  }
}
