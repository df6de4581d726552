#include "collectives/synthesis/search.hpp"

#include <algorithm>

#include "collectives/bound/group_limits.hpp"
#include "collectives/cost.hpp"

namespace railwright::collectives {

namespace {

// Sends matched in all, and looks at chunks for them: a second or two for 32 ranks, some for more.
constexpr std::int64_t small_work = 150'000, large_work = 600'000;
constexpr double looks_per_work = 1'000;
constexpr std::int64_t most_sends = 300'000, cheap = 10'000;
constexpr int most_chunks = 4096;
constexpr std::uint64_t smallest_chunk = 64;  // bytes; below it latency is all that counts
constexpr double nearly = 0.96;               // of a cut's capacity: nothing may cross it twice
constexpr double close_enough = 1.004;        // to the bound: no other chunks or seeds are tried

class Search {
 public:
  Search(const SynthesisTask& task, const topology::Cluster& cluster,
         const topology::Calibration& calibration, Towards towards, bool rooted)
      : task_(task),
        fabric_(fabric_of(task.members, cluster, calibration, towards)),
        rooted_(rooted) {
    software_ = software_latency(calibration, cluster).value;
    find_tight_groups(cluster, calibration, towards);
  }

  std::optional<Found> run();

 private:
  struct Trial {
    int chunks = 0;
    std::int64_t time = 0;
  };

  int weight_of(int rank) const { return !rooted_ || rank == task_.root ? 1 : 0; }
  int roots() const { return rooted_ ? 1 : fabric_.ranks(); }
  std::int64_t sends_of(int chunks) const {
    return std::int64_t{chunks} * roots() * (fabric_.ranks() - 1);
  }
  bool fits(int chunks) const;
  // Each send looks at sets of chunks: their work grows with the square of the chunks.
  bool affords(int chunks) const {
    const std::int64_t most = fabric_.ranks() <= 32 ? small_work : large_work;
    const double looks = static_cast<double>(looks_) + looks_per_square_ * chunks * chunks;
    return work_ + sends_of(chunks) <= most && looks <= looks_per_work * static_cast<double>(most);
  }
  std::vector<int> promising() const;
  void find_tight_groups(const topology::Cluster& cluster, const topology::Calibration& calibration,
                         Towards towards);
  void try_chunks(int chunks, std::uint64_t seed);
  bool done() const {
    return best_ && bound_ > 0 &&
           static_cast<double>(best_->matching.time) <= close_enough * bound_ * 1e12;
  }

  const SynthesisTask& task_;
  Fabric fabric_;
  bool rooted_;
  double software_ = 0, bound_ = 0;
  std::vector<std::vector<char>> tight_in_, tight_out_, loose_;
  std::int64_t work_ = 0, looks_ = 0;
  double looks_per_square_ = 0;  // of the last trial, by chunks squared
  std::vector<Trial> trials_;
  std::optional<Found> best_;
};

// A group is tight when, at the optimal rate, what must cross its border all but fills it.
void Search::find_tight_groups(const topology::Cluster& cluster,
                               const topology::Calibration& calibration, Towards towards) {
  const std::vector<char> none(fabric_.ranks(), 0);
  loose_.assign(fabric_.group.size(), none);
  tight_in_ = tight_out_ = loose_;
  const bool away = towards == Towards::forward;
  const Operation operation = rooted_ ? (away ? Operation::broadcast : Operation::reduce)
                                      : (away ? Operation::all_gather : Operation::reduce_scatter);
  const LinkRates rates = effective_rates(cluster.graph, calibration);
  const auto bound = NetworkLimits(task_.members, cluster, rates).bound(operation, task_.root);
  if (!bound) return;
  bound_ = bound_time(*bound, operation, fabric_.ranks(), task_.size).value;
  const double rate = bound->algorithm_bandwidth.bytes_per_second / roots();
  Ranks ranks(task_.members, cluster, rates);
  FlowNetwork& network = ranks.network(away ? Direction::forward : Direction::reversed);
  const auto unit = static_cast<double>(network.unit());
  for (std::size_t level = 0; level < fabric_.group.size(); ++level)
    for (int first = 0; first < fabric_.ranks(); ++first) {
      if (fabric_.group[level][first] != first) continue;
      std::vector<int> part;
      int weight = 0;
      for (int rank = first; rank < fabric_.ranks(); ++rank)
        if (fabric_.group[level][rank] == first) {
          part.push_back(fabric_.vertex[rank]);
          weight += weight_of(rank);
        }
      const std::vector<int> rest = ranks.others(part);
      const double in = unit * static_cast<double>(cut_between(network, rest, part).capacity);
      const double out = unit * static_cast<double>(cut_between(network, part, rest).capacity);
      tight_in_[level][first] = (roots() - weight) * rate >= nearly * in;
      tight_out_[level][first] = weight * rate >= nearly * out;
    }
}

bool Search::fits(int chunks) const {
  const std::uint64_t part = task_.size.count / static_cast<std::uint64_t>(roots());
  const bool small = static_cast<std::uint64_t>(chunks) * smallest_chunk > part;
  return chunks == 1 || (chunks <= most_chunks && !small && sends_of(chunks) <= most_sends);
}

// The four best so far, each once.
std::vector<int> Search::promising() const {
  std::vector<Trial> trials = trials_;
  std::ranges::stable_sort(trials, {}, &Trial::time);
  std::vector<int> best;
  for (const Trial& trial : trials)
    if (best.size() < 4 && std::ranges::find(best, trial.chunks) == best.end())
      best.push_back(trial.chunks);
  return best;
}

void Search::try_chunks(int chunks, std::uint64_t seed) {
  MatchingTask task;
  for (int rank = 0; rank < fabric_.ranks(); ++rank)
    task.owner.insert(task.owner.end(), static_cast<std::size_t>(chunks * weight_of(rank)), rank);
  task.chunk_bytes = static_cast<double>(task_.size.count) / static_cast<double>(task.owner.size());
  task.software_latency = software_;
  task.latency_occupies = task_.occupancy == Occupancy::bytes_and_latency;
  task.tight_in = seed % 2 == 1 ? tight_in_ : loose_;
  task.tight_out = seed % 2 == 1 ? tight_out_ : loose_;
  task.groups_first = seed % 4 == 1 || seed % 4 == 2;
  task.seed = seed;
  Matching matching = matching_of(fabric_, task);
  if (!matching.complete) {  // groups that are tight together may lock each other
    task.tight_in = task.tight_out = loose_;
    matching = matching_of(fabric_, task);
  }
  work_ += static_cast<std::int64_t>(matching.sends.size());
  looks_ += matching.looks;
  looks_per_square_ = static_cast<double>(matching.looks) / (static_cast<double>(chunks) * chunks);
  if (!matching.complete) return;
  trials_.push_back({chunks, matching.time});
  if (!best_ || matching.time < best_->matching.time)
    best_ = Found{std::move(matching), chunks, std::move(task.owner)};
}

// Powers of two, then what lies around the best of them, then other seeds.
std::optional<Found> Search::run() {
  if (task_.chunks > 0) {
    for (const std::uint64_t seed : {1, 2, 3}) try_chunks(task_.chunks, seed);
    return std::move(best_);
  }
  for (int chunks = 1; fits(chunks) && !done() && (!best_ || affords(chunks)); chunks *= 2) {
    try_chunks(chunks, 1);
    if (fabric_.group.size() > 1 && sends_of(chunks) <= cheap && !done()) try_chunks(chunks, 3);
  }
  if (best_) {
    const int best = best_->chunks;
    for (const int chunks : {3 * best / 4, 3 * best / 2, 5 * best / 4, 3 * best})
      if (chunks != best && chunks > 0 && fits(chunks) && affords(chunks) && !done())
        try_chunks(chunks, 1);
  }
  const std::vector<int> best = promising();
  for (std::uint64_t seed = 2; seed < 32; ++seed)
    for (const int chunks : best)
      if (!done() && affords(chunks)) try_chunks(chunks, seed);
  return std::move(best_);
}

}  // namespace

std::optional<Found> best_matching(const SynthesisTask& task, const topology::Cluster& cluster,
                                   const topology::Calibration& calibration, Towards towards,
                                   bool rooted) {
  return Search(task, cluster, calibration, towards, rooted).run();
}

}  // namespace railwright::collectives
