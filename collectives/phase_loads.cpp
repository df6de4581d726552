#include <algorithm>
#include <memory>
#include <set>

#include "collectives/cost.hpp"
#include "collectives/phase_loads/known_patterns.hpp"

namespace railwright::collectives {
namespace {

using topology::LinkId;
using topology::Router;
using Members = std::vector<topology::AcceleratorId>;

// What the phases put on each link, bundle after bundle.
class LoadsOfLinks {
 public:
  LoadsOfLinks(const std::vector<PhaseTerms>& phases, const LinkLoads& loads, const Router& router)
      : phases_(phases),
        loads_(loads),
        router_(router),
        links_(router.cluster().graph.links()),
        of_group_(static_cast<std::size_t>(loads.groups())) {}

  // Hands over links that are loaded alike, the number of their group (-1: no other link is in it)
  // and what each phase puts on each of them.
  template <class Do>
  void for_runs(Do act) {
    std::vector<int> several;  // bundles of several links
    loads_.for_loaded([&](int bundle) {
      if (bundle >= links_) several.push_back(bundle);
    });
    std::ranges::sort(several);
    for (const int bundle : several) run_of_bundle(bundle, act);
    run_.resize(1);
    loads_.for_loaded([&](int bundle) {
      if (bundle >= links_ || (!twice_.empty() && twice_.contains(bundle))) return;
      run_.front() = {bundle};
      act(run_, loads_.group_of(bundle), of_group(loads_.group_of(bundle)));
    });
  }

 private:
  // A link may be loaded by itself, too.
  template <class Do>
  void run_of_bundle(int bundle, Do act) {
    run_.clear();
    router_.append_links_of({bundle}, run_);
    std::vector<LinkId> single;
    std::ranges::copy_if(run_, std::back_inserter(single),
                         [&](LinkId link) { return loads_.group_of(link.index) != 0; });
    std::erase_if(run_, [&](LinkId link) { return loads_.group_of(link.index) != 0; });
    const int group = loads_.group_of(bundle);
    if (!run_.empty()) act(run_, group, of_group(group));
    for (const LinkId link : single) {
      twice_.insert(link.index);
      loads_.loads_of(group, patterns_);
      std::vector<double> own;
      loads_.loads_of(loads_.group_of(link.index), own);
      for (std::size_t i = 0; i < own.size(); ++i) patterns_[i] += own[i];
      act({link}, -1, by_phase());
    }
  }

  const std::vector<double>& of_group(int group) {
    std::vector<double>& loads = of_group_[static_cast<std::size_t>(group)];
    if (!loads.empty()) return loads;
    loads_.loads_of(group, patterns_);
    return loads = by_phase();
  }

  std::vector<double> by_phase() const {
    std::vector<double> loads;
    for (const PhaseTerms& phase : phases_) loads.push_back(phase.load_of(patterns_));
    return loads;
  }

  const std::vector<PhaseTerms>& phases_;
  const LinkLoads& loads_;
  const Router& router_;
  int links_;
  std::vector<std::vector<double>> of_group_;
  std::vector<double> patterns_;
  std::vector<LinkId> run_;
  std::set<int> twice_;  // links that a bundle holds and that are loaded by themselves
};

// Loads that the thread keeps between calls, cleared: pages of memory that one group touched are
// there for the next.
class KeptLoads {
 public:
  explicit KeptLoads(const Router& router) {
    if (kept_ != nullptr && kept_->bundles() == router.bundles())
      mine_ = std::move(kept_);
    else
      mine_ = std::make_unique<LinkLoads>(router);
  }
  ~KeptLoads() {
    mine_->clear();
    kept_ = std::move(mine_);
  }
  KeptLoads(const KeptLoads&) = delete;
  KeptLoads& operator=(const KeptLoads&) = delete;
  LinkLoads& operator*() { return *mine_; }

 private:
  static thread_local std::unique_ptr<LinkLoads> kept_;
  std::unique_ptr<LinkLoads> mine_;
};

thread_local std::unique_ptr<LinkLoads> KeptLoads::kept_;

std::vector<PhaseLoad> without_links(const std::vector<PhaseTerms>& phases) {
  std::vector<PhaseLoad> loads;
  for (const PhaseTerms& phase : phases) loads.push_back(phase.load);
  return loads;
}

void sort_links(std::vector<PhaseLoad>& phases) {
  for (PhaseLoad& phase : phases)
    if (!std::ranges::is_sorted(phase.consumption, {}, &topology::LinkShare::link))
      std::ranges::sort(phase.consumption, {}, &topology::LinkShare::link);
}

void add_consumption(LinkId link, const std::vector<double>& loads,
                     std::vector<PhaseLoad>& phases) {
  for (std::size_t i = 0; i < phases.size(); ++i)
    if (loads[i] > 0) phases[i].consumption.push_back({link, loads[i]});
}

struct LoadedSet {
  LinkSet links;
  std::vector<double> loads;  // by phase
};

// Puts links into sets.
class SetMaker {
 public:
  SetMaker(const topology::Graph& graph, const std::vector<LinkId>& apart) : graph_(graph) {
    if (apart.empty() && graph.lanes.empty()) return;
    apart_.resize(static_cast<std::size_t>(graph.links()));
    for (const LinkId link : apart) apart_[link.index] = true;
    for (const auto& [link, lanes] : graph.lanes) apart_[link] = true;
  }

  void add(LinkId link, int group, const std::vector<double>& loads) {
    const bool alone = group < 0 || (!apart_.empty() && apart_[link.index]);
    int alone_set = -1;
    int& known = alone ? alone_set : known_set(group, link);
    if (known < 0) {
      known = static_cast<int>(sets_.size());
      sets_.push_back({{}, loads});
    }
    LinkSet& set = sets_[static_cast<std::size_t>(known)].links;
    ++set.count;
    if (set.lowest.size() == LinkSet::most_named && link > set.lowest.back()) return;
    set.lowest.insert(std::ranges::upper_bound(set.lowest, link), link);
    if (set.lowest.size() > LinkSet::most_named) set.lowest.pop_back();
  }

  // Ascending by their lowest links.
  std::vector<LoadedSet> take() && {
    std::ranges::sort(sets_, {}, [](const LoadedSet& set) { return set.links.lowest.front(); });
    return std::move(sets_);
  }

 private:
  int& known_set(int group, LinkId link) {
    const std::size_t key =
        static_cast<std::size_t>(group) * graph_.classes.size() + graph_.link_class[link.index];
    if (known_.size() <= key) known_.resize(key + 1, -1);
    return known_[key];
  }

  const topology::Graph& graph_;
  std::vector<bool> apart_;  // per link; empty: none is
  std::vector<int> known_;   // set by group and class of links
  std::vector<LoadedSet> sets_;
};

void add_all(SetMaker& sets, const std::vector<PhaseTerms>& phases, const LinkLoads& loads,
             const Router& router) {
  LoadsOfLinks(phases, loads, router)
      .for_runs(
          [&](const std::vector<LinkId>& links, int group, const std::vector<double>& on_each) {
            for (const LinkId link : links) sets.add(link, group, on_each);
          });
}

// Each pattern as if it were a phase.
std::vector<PhaseTerms> one_by_one(int patterns) {
  std::vector<PhaseTerms> phases(static_cast<std::size_t>(patterns));
  for (int i = 0; i < patterns; ++i) phases[static_cast<std::size_t>(i)].terms = {{i, 1}};
  return phases;
}

}  // namespace

Seconds software_latency(const topology::Calibration& calibration,
                         const topology::Cluster& cluster) {
  const topology::NodeGroup& nodes = cluster.spec.nodes.front();
  const bool shared =
      cluster.spec.nodes.size() == 1 && nodes.scale_up_class &&
      cluster.spec.link_classes[nodes.scale_up_class->index].kind == "shared-memory";
  const char* library = shared ? "library:shm" : "library:nccl";
  return seconds(calibration.value_or(library, "software_latency", 0));
}

std::vector<PhaseLoad> phase_loads(const Schedule& schedule, Bytes size, const Members& members,
                                   const Router& router, const topology::Calibration& calibration) {
  KeptLoads kept(router);
  LinkLoads& loads = *kept;
  TracedLayers layers;
  const auto terms = terms_of_phases(schedule, size, members, router, calibration, loads, layers);
  std::vector<PhaseLoad> phases = without_links(terms);
  LoadsOfLinks(terms, loads, router)
      .for_runs([&](const std::vector<LinkId>& links, int, const std::vector<double>& on_each) {
        for (const LinkId link : links) add_consumption(link, on_each, phases);
      });
  sort_links(phases);
  return phases;
}

FoldedLoads folded_phase_loads(const Schedule& schedule, Bytes size, const Members& members,
                               const Router& router, const topology::Calibration& calibration,
                               const std::vector<LinkId>& apart) {
  KeptLoads kept(router);
  LinkLoads& loads = *kept;
  TracedLayers layers;
  const auto terms = terms_of_phases(schedule, size, members, router, calibration, loads, layers);
  FoldedLoads folded{without_links(terms), {}};
  SetMaker sets(router.cluster().graph, apart);
  add_all(sets, terms, loads, router);
  for (LoadedSet& set : std::move(sets).take()) {
    add_consumption(set.links.lowest.front(), set.loads, folded.phases);
    folded.sets.push_back(std::move(set.links));
  }
  return folded;
}

std::vector<PhaseTerms> known_terms(const Schedule& schedule, Bytes size, const Members& members,
                                    const Router& router, const topology::Calibration& calibration,
                                    KnownPatterns& known) {
  const bool mixes = !known.layers.empty();
  KeptLoads kept(router);
  LinkLoads& loads = *kept;
  const auto trace = [&] {
    return terms_of_phases(schedule, size, members, router, calibration, loads, known.layers);
  };
  std::vector<PhaseTerms> terms = trace();
  if (loads.patterns() == 0) return terms;
  if (mixes) {  // patterns besides those that are known: their numbers begin anew
    loads.clear();
    known.layers.clear();
    terms = trace();
  }
  known.links.clear();
  SetMaker sets(router.cluster().graph, {});
  add_all(sets, one_by_one(loads.patterns()), loads, router);
  const topology::Graph& graph = router.cluster().graph;
  for (LoadedSet& set : std::move(sets).take()) {
    const LinkId link = set.links.lowest.front();
    const Bandwidth capacity = topology::effective_capacity(graph, link, calibration);
    known.links.push_back({link, capacity.bytes_per_second, std::move(set.loads)});
  }
  return terms;
}

}  // namespace railwright::collectives
