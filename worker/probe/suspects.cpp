#include <algorithm>
#include <map>
#include <set>

#include "worker/bench/interval.hpp"
#include "worker/probe/probe.hpp"

namespace railwright::worker {
namespace {

struct Slowness {
  const PairRecord* pair = nullptr;
  double slower = 1;  // than usual
};

// Pairs that should be alike: of the same expectation, else of the same kind.
double kind_of(const PairRecord& pair, bool latency) {
  if (latency && pair.expected_latency) return pair.expected_latency->value;
  if (!latency && pair.expected) return pair.expected->bytes_per_second;
  return pair.inside ? -1 : -2;
}

double slowness_of(const PairRecord& pair, bool latency) {
  if (latency) return pair.latency.value;
  return 1 / std::max(1.0, std::min(pair.there, pair.back).bytes_per_second);
}

std::vector<Slowness> compared(const std::vector<PairRecord>& pairs, bool latency) {
  constexpr std::size_t fewest = 3;
  std::map<double, std::vector<double>> kinds;
  for (const PairRecord& pair : pairs)
    kinds[kind_of(pair, latency)].push_back(slowness_of(pair, latency));
  std::vector<Slowness> result;
  for (const PairRecord& pair : pairs) {
    const std::vector<double>& alike = kinds[kind_of(pair, latency)];
    const double value = slowness_of(pair, latency), usual = median_of(alike).value;
    const bool judged = alike.size() >= fewest && usual > 0;
    result.push_back({&pair, judged ? value / usual : 1});
  }
  return result;
}

// Ranks of two pairs or more, all of them slow.
std::set<int> slow_ranks_of(const std::vector<Slowness>& all, double tolerance) {
  std::map<int, std::pair<int, int>> count;  // of slow pairs, of pairs
  for (const Slowness& one : all)
    for (const int rank : {one.pair->a, one.pair->b}) {
      count[rank].first += one.slower > tolerance;
      ++count[rank].second;
    }
  std::set<int> ranks;
  for (const auto& [rank, pairs] : count)
    if (pairs.second >= 2 && pairs.first == pairs.second) ranks.insert(rank);
  return ranks;
}

void add_ranks(std::vector<Suspect>& suspects, const std::set<int>& slow,
               const std::vector<Slowness>& all, const std::vector<std::string>& hosts,
               const std::string& measure) {
  std::map<std::string, std::vector<int>> of_host, slow_of_host;
  for (int rank = 0; rank < static_cast<int>(hosts.size()); ++rank)
    of_host[hosts[rank]].push_back(rank);
  for (const int rank : slow) slow_of_host[hosts[rank]].push_back(rank);
  const auto least_slow = [&](const std::vector<int>& ranks) {
    double least = 0;
    for (const Slowness& one : all)
      if (std::ranges::count(ranks, one.pair->a) + std::ranges::count(ranks, one.pair->b) > 0)
        least = least == 0 ? one.slower : std::min(least, one.slower);
    return least;
  };
  for (const auto& [host, ranks] : slow_of_host) {
    if (ranks.size() > 1 && ranks == of_host[host]) {
      suspects.push_back({Suspect::What::host, ranks, measure, least_slow(ranks)});
      continue;
    }
    for (const int rank : ranks)
      suspects.push_back({Suspect::What::rank, {rank}, measure, least_slow({rank})});
  }
}

}  // namespace

std::vector<Suspect> suspects_of(const std::vector<PairRecord>& pairs,
                                 const std::vector<std::string>& hosts, double tolerance) {
  std::vector<Suspect> suspects;
  for (const bool latency : {false, true}) {
    const std::string measure = latency ? "latency" : "bandwidth";
    const std::vector<Slowness> all = compared(pairs, latency);
    const std::set<int> slow = slow_ranks_of(all, tolerance);
    add_ranks(suspects, slow, all, hosts, measure);
    for (const Slowness& one : all) {
      const bool explained = slow.contains(one.pair->a) || slow.contains(one.pair->b);
      if (one.slower > tolerance && !explained)
        suspects.push_back({Suspect::What::pair, {one.pair->a, one.pair->b}, measure, one.slower});
    }
  }
  std::ranges::stable_sort(suspects, std::greater<>(), &Suspect::slower);
  return suspects;
}

}  // namespace railwright::worker
