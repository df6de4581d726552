#include "collectives/bundle_loads.hpp"

#include <algorithm>
#include <deque>

#include "collectives/phase_loads/phase_terms.hpp"
#include "collectives/ways.hpp"

namespace railwright::collectives {

namespace {

constexpr std::size_t most_kept = 16, most_uses_kept = 1 << 20;

// What a group was found to do.
struct Known {
  Schedule schedule;
  Bytes size;
  std::vector<topology::AcceleratorId> members;
  std::vector<PhaseLoad> phases;
  std::vector<BundleLoads::Use> uses;
  std::vector<std::vector<double>> kinds;
};

}  // namespace

topology::BundleId standing(topology::BundleId bundle, const topology::Router& router,
                            const std::vector<int>& stands_for) {
  const int period = router.period_of(bundle);
  const int stands = stands_for[static_cast<std::size_t>(period)];
  return stands == period ? bundle : router.in_period(bundle, stands);
}

struct BundleLoads::State {
  const topology::Router& router;
  const topology::Calibration& calibration;
  LinkLoads links;
  std::vector<double> patterns;
  std::vector<int> stands_for;
  std::deque<KnownHops> hops;  // by schedule and shape of the group
  KnownHops* hops_of(const Schedule& schedule, const AlikePeriods& alike);
  std::deque<Known> known;  // the latest last
};

KnownHops* BundleLoads::State::hops_of(const Schedule& schedule, const AlikePeriods& alike) {
  if (alike.copies() == 1) return nullptr;
  const auto known = std::ranges::find_if(hops, [&](const KnownHops& other) {
    return other.schedule == schedule && alike.is_like(other);
  });
  if (known != hops.end()) return &*known;
  if (hops.size() == most_kept) hops.pop_front();
  return &hops.emplace_back(alike.known_hops(schedule));
}

BundleLoads::BundleLoads(const topology::Router& router, const topology::Calibration& calibration,
                         std::vector<int> stands_for)
    : state_(new State{router, calibration, LinkLoads(router), {}, std::move(stands_for), {}, {}}) {
}
BundleLoads::~BundleLoads() = default;

bool BundleLoads::find(const Schedule& schedule, Bytes size,
                       const std::vector<topology::AcceleratorId>& members) {
  if (!state_->stands_for.empty()) return trace(schedule, size, members);
  if (move_known(schedule, size, members)) return true;
  trace(schedule, size, members);
  if (uses_.size() > most_uses_kept) return true;
  state_->known.push_back({schedule, size, members, phases_, uses_, kinds_});
  if (state_->known.size() > most_kept) state_->known.pop_front();
  return true;
}

bool BundleLoads::move_known(const Schedule& schedule, Bytes size,
                             const std::vector<topology::AcceleratorId>& members) {
  const topology::Router& router = state_->router;
  for (const Known& known : state_->known) {
    if (known.size != size || known.members.size() != members.size()) continue;
    if (known.schedule != schedule) continue;
    const auto move = router.move_between(known.members, members);
    if (!move || !goes_with_moves(schedule, members, router.cluster())) continue;
    phases_ = known.phases;
    uses_ = known.uses;
    kinds_ = known.kinds;
    for (Use& use : uses_) use.bundle = router.moved(use.bundle, *move);
    return true;
  }
  return false;
}

bool BundleLoads::trace(const Schedule& schedule, Bytes size,
                        const std::vector<topology::AcceleratorId>& members) {
  LinkLoads& links = state_->links;
  links.clear();
  std::optional<AlikePeriods> alike;
  if (!state_->stands_for.empty()) {
    alike = AlikePeriods::among(schedule, members, state_->router, state_->stands_for);
    if (!alike) return false;
    alike->known = state_->hops_of(schedule, *alike);
  }
  TracedLayers layers;
  const auto terms = terms_of_phases(schedule, size, members, state_->router, state_->calibration,
                                     links, layers, alike ? &*alike : nullptr);
  if (alike && !alike->alike()) {
    state_->hops.clear();
    return false;
  }
  copies_ = alike ? alike->copies() : 1;
  phases_.clear();
  for (const PhaseTerms& phase : terms) phases_.push_back(phase.load);
  kinds_.resize(static_cast<std::size_t>(links.groups()) - 1);
  for (int group = 1; group < links.groups(); ++group) {
    std::vector<double>& loads = kinds_[static_cast<std::size_t>(group) - 1];
    loads.clear();
    links.loads_of(group, state_->patterns);
    for (const PhaseTerms& phase : terms) loads.push_back(phase.load_of(state_->patterns));
  }
  uses_.clear();
  links.for_loaded([&](int bundle) { uses_.push_back({{bundle}, links.group_of(bundle) - 1}); });
  return true;
}

}  // namespace railwright::collectives
