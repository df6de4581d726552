#include "collectives/bundle_loads.hpp"

#include "collectives/phase_loads/phase_terms.hpp"

namespace railwright::collectives {

struct BundleLoads::State {
  const topology::Router& router;
  const topology::Calibration& calibration;
  LinkLoads links;
  std::vector<double> patterns;
};

BundleLoads::BundleLoads(const topology::Router& router, const topology::Calibration& calibration)
    : state_(new State{router, calibration, LinkLoads(router), {}}) {}
BundleLoads::~BundleLoads() = default;

void BundleLoads::find(const Schedule& schedule, Bytes size,
                       const std::vector<topology::AcceleratorId>& members) {
  LinkLoads& links = state_->links;
  links.clear();
  const auto terms =
      terms_of_phases(schedule, size, members, state_->router, state_->calibration, links);
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
}

}  // namespace railwright::collectives
