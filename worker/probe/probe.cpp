#include "worker/probe/probe.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "topology/files/writable.hpp"
#include "topology/quantity.hpp"

namespace railwright::worker {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int probe_tag = pipeline_tags + 64;

// This rank's view of its pairs: who sends says how long it took.
class Prober {
 public:
  Prober(const World& world, const ProbeOptions& options, Engine& engine)
      : world_(world), options_(options), transport_(engine.transport()) {
    buffer_ = engine.allocate(options.size.count);
    for (int rank = 0; rank < world.size; ++rank) everybody_.ranks.push_back(rank);
    everybody_.index = world.rank;
  }
  // Collective.
  std::vector<PairRecord> measure(const std::vector<std::vector<RankPair>>& rounds);

 private:
  void require(const WaitResult& result);
  Transport::Deadline deadline() const {
    return Clock::now() +
           std::chrono::nanoseconds(static_cast<std::int64_t>(options_.timeout.value * 1e9));
  }
  void send(int peer, std::size_t size);
  void receive(int peer, std::size_t size);
  Seconds round_trip(int peer, bool leads, std::size_t size, int repetitions);
  PairRecord pair_with(int peer);

  const World& world_;
  const ProbeOptions& options_;
  Transport& transport_;
  Group everybody_;
  std::span<std::byte> buffer_;
};

void Prober::require(const WaitResult& result) {
  if (result.state == WaitState::done) return;
  const Seconds grace = std::min(seconds(5), Seconds{options_.timeout.value / 4});
  const auto until =
      Clock::now() + std::chrono::nanoseconds(static_cast<std::int64_t>(grace.value * 1e9));
  give_up(world_, silent_rank(transport_, result, until), options_.timeout);
}

void Prober::send(int peer, std::size_t size) {
  const Request request = transport_.post_send(peer, probe_tag, buffer_.first(size));
  require(transport_.wait(request, deadline()));
}

void Prober::receive(int peer, std::size_t size) {
  const Request request = transport_.post_receive(peer, probe_tag, buffer_.first(size));
  require(transport_.wait(request, deadline()));
}

// `size` bytes to the peer and nothing back; the best of several, on the rank that leads.
Seconds Prober::round_trip(int peer, bool leads, std::size_t size, int repetitions) {
  Seconds best;
  for (int i = 0; i <= repetitions; ++i) {
    const Clock::time_point start = Clock::now();
    leads ? send(peer, size) : receive(peer, size);
    leads ? receive(peer, 0) : send(peer, 0);
    const Seconds time = {std::chrono::duration<double>(Clock::now() - start).count()};
    if (i == 1 || (i > 1 && time < best)) best = time;  // the first warms up
  }
  return best;
}

PairRecord Prober::pair_with(int peer) {
  const bool first = world_.rank < peer;
  PairRecord record;
  record.a = std::min(world_.rank, peer);
  record.b = std::max(world_.rank, peer);
  for (const bool leads : {first, !first}) {
    const Seconds nothing = round_trip(peer, leads, 0, 20 * options_.repetitions);
    const Seconds large = round_trip(peer, leads, options_.size.count, options_.repetitions);
    // On a busy core the empty message may have taken as long: then all of the time counts.
    const Seconds moving = large - nothing > 0.01 * large ? large - nothing : large;
    if (leads) (first ? record.there : record.back) = options_.size / moving;
    if (leads) record.latency = 0.5 * nothing;
  }
  return record;
}

// Both ends have measured the way from them.
std::vector<PairRecord> merged(const std::vector<std::string>& texts) {
  std::map<RankPair, PairRecord> pairs;
  for (const std::string& text : texts)
    for (const Json& seen : Json::parse(text)) {
      PairRecord& pair = pairs[{seen["a"], seen["b"]}];
      pair.a = seen["a"];
      pair.b = seen["b"];
      pair.there.bytes_per_second += seen["there"].get<double>();
      pair.back.bytes_per_second += seen["back"].get<double>();
      const Seconds latency = {seen["latency"]};
      pair.latency = pair.latency.value == 0 ? latency : std::min(pair.latency, latency);
    }
  std::vector<PairRecord> result;
  for (const auto& [ranks, pair] : pairs) result.push_back(pair);
  return result;
}

std::vector<PairRecord> Prober::measure(const std::vector<std::vector<RankPair>>& rounds) {
  Json seen = Json::array();
  for (const auto& round : rounds) {
    require(arrive(transport_, everybody_, deadline()));
    for (const auto& [a, b] : round) {
      if (a != world_.rank && b != world_.rank) continue;
      const PairRecord record = pair_with(a == world_.rank ? b : a);
      seen.push_back({{"a", record.a},
                      {"b", record.b},
                      {"latency", record.latency.value},
                      {"there", record.there.bytes_per_second},
                      {"back", record.back.bytes_per_second}});
    }
  }
  require(arrive(transport_, everybody_, deadline()));
  return merged(gather_text(world_, MPI_COMM_WORLD, seen.dump()));
}

void add_expectations(std::vector<PairRecord>& pairs, const topology::Cluster& cluster,
                      Bytes size) {
  const topology::Router router(cluster);
  const auto& calibration = topology::default_calibration();
  const collectives::Schedule send{collectives::Operation::send, collectives::Algorithm::direct, 2};
  for (PairRecord& pair : pairs) {
    const std::vector<topology::AcceleratorId> members = {{pair.a}, {pair.b}};
    const auto time = [&](Bytes bytes) {
      const auto loads = collectives::phase_loads(send, bytes, members, router, calibration);
      return collectives::idle_time(loads, cluster.graph, calibration);
    };
    const Seconds nothing = time(bytes(1)), large = time(size);
    pair.expected_latency = nothing;
    if (large > nothing) pair.expected = size / (large - nothing);
  }
}

std::string name_of(const Suspect& suspect, const World& world) {
  switch (suspect.what) {
    case Suspect::What::host:
      return "host " + world.hosts[suspect.ranks[0]];
    case Suspect::What::rank:
      return fmt::format("rank {} on {}", suspect.ranks[0], world.hosts[suspect.ranks[0]]);
    case Suspect::What::pair:
      break;
  }
  const auto [a, b] = std::pair(suspect.ranks[0], suspect.ranks[1]);
  return fmt::format("link between rank {} on {} and rank {} on {}", a, world.hosts[a], b,
                     world.hosts[b]);
}

std::string table_of(const std::vector<PairRecord>& pairs, const std::vector<Suspect>& suspects,
                     const World& world) {
  std::string text =
      fmt::format("{:>5} {:>5} {:>12} {:>12} {:>12} {:>14} {:>14}\n", "rank", "rank", "latency us",
                  "there GB/s", "back GB/s", "expected us", "expected GB/s");
  for (const PairRecord& pair : pairs)
    text += fmt::format(
        "{:>5} {:>5} {:>12.2f} {:>12.3f} {:>12.3f} {:>14} {:>14}\n", pair.a, pair.b,
        in_microseconds(pair.latency), in_gigabytes_per_second(pair.there),
        in_gigabytes_per_second(pair.back),
        pair.expected_latency ? fmt::format("{:.2f}", in_microseconds(*pair.expected_latency))
                              : "-",
        pair.expected ? fmt::format("{:.3f}", in_gigabytes_per_second(*pair.expected)) : "-");
  for (const Suspect& suspect : suspects)
    text += fmt::format("suspect: {}, {} {:.1f} times worse than usual\n", name_of(suspect, world),
                        suspect.measure, suspect.slower);
  if (suspects.empty()) text += "no suspects\n";
  return text;
}

Json json_of(const PairRecord& pair, const World& world) {
  Json json = {{"ranks", {pair.a, pair.b}},
               {"hosts", {world.hosts[pair.a], world.hosts[pair.b]}},
               {"same_machine", pair.inside},
               {"latency_s", pair.latency.value},
               {"bandwidth_bytes_per_s", pair.there.bytes_per_second},
               {"back_bandwidth_bytes_per_s", pair.back.bytes_per_second}};
  if (pair.expected_latency) json["expected_latency_s"] = pair.expected_latency->value;
  if (pair.expected) json["expected_bandwidth_bytes_per_s"] = pair.expected->bytes_per_second;
  return json;
}

std::string document_of(const std::vector<PairRecord>& pairs, const std::vector<Suspect>& suspects,
                        const World& world, const ProbeOptions& options) {
  constexpr const char* kinds[] = {"link", "rank", "host"};
  Json document = {{"probe", options.backend}, {"bytes", options.size.count},
                   {"ranks", world.size},      {"oversubscribed", world.oversubscribed},
                   {"pairs", Json::array()},   {"suspects", Json::array()}};
  for (const PairRecord& pair : pairs) document["pairs"].push_back(json_of(pair, world));
  for (const Suspect& suspect : suspects)
    document["suspects"].push_back({{"what", kinds[static_cast<int>(suspect.what)]},
                                    {"name", name_of(suspect, world)},
                                    {"ranks", suspect.ranks},
                                    {"measure", suspect.measure},
                                    {"slower", suspect.slower}});
  return document.dump(2) + "\n";
}

// On rank 0.
Errors tell(const World& world, const ProbeOptions& options, std::vector<PairRecord> pairs,
            const topology::Cluster* cluster) {
  const std::vector<int> machine_of = machines(world, 0);
  for (PairRecord& pair : pairs) pair.inside = machine_of[pair.a] == machine_of[pair.b];
  if (cluster != nullptr) add_expectations(pairs, *cluster, options.size);
  const std::vector<Suspect> suspects = suspects_of(pairs, world.hosts, options.tolerance);
  std::cout << table_of(pairs, suspects, world) << std::flush;
  Errors errors;
  const auto write = [&](const std::string& path, const std::string& text) {
    if (path.empty()) return;
    for (const ConfigError& error : write_file(path, text)) errors.push_back(error);
  };
  write(options.json_path, document_of(pairs, suspects, world, options));
  write(options.write_path, cluster_text(pairs, machine_of, world.hosts, options.accelerator));
  return errors;
}

}  // namespace

int probe(const World& world, const ProbeOptions& options) {
  std::optional<topology::Cluster> cluster;
  Errors errors = why_not_throttle(options.throttles, world.size);
  if (!options.cluster.empty()) {
    Result<topology::Cluster> loaded = topology::load_cluster(options.cluster);
    if (!loaded)
      errors.insert(errors.end(), loaded.error().begin(), loaded.error().end());
    else if (loaded->accelerators() < world.size)
      errors.push_back({{options.cluster, 0, 0},
                        fmt::format("the cluster has {} accelerators, mpirun started {} ranks",
                                    loaded->accelerators(), world.size),
                        fmt::format("use mpirun -n {}", loaded->accelerators())});
    else
      cluster = std::move(*loaded);
  }
  for (const std::string& path : {options.json_path, options.write_path})
    if (const auto error = topology::why_not_writable(path); world.first() && error)
      errors.push_back(*error);
  if (!agree(world, errors)) return exit_usage;
  EngineChoice choice{options.backend, 0, options.size};
  choice.throttles = options.throttles;
  Result<Engine> engine = Engine::make(world, choice);
  if (!engine) return exit_usage;
  Prober prober(world, options, *engine);
  const auto pairs = prober.measure(rounds_of(world.size, options.all_pairs));
  if (world.first()) errors = tell(world, options, pairs, cluster ? &*cluster : nullptr);
  return agree(world, errors) ? exit_ok : exit_usage;
}

}  // namespace railwright::worker
