#include "emulator/network/levels.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "tests/emulator/random_system.hpp"

using namespace railwright::emulator;

namespace {

// A system under change, kept twice: as Levels and as the plain system that max_min solves.
class Twins {
 public:
  Twins(int links, bool coarse, std::uint64_t seed) : coarse_(coarse), generator_(seed) {
    // Labels that run against the indices, so that the two are not mixed up.
    for (int l = 0; l < links; ++l) {
      system_.capacity.push_back(value(10, 400));
      link_.push_back(levels_.add_link(system_.capacity.back(), links - l));
    }
  }

  // Crosses about `wanted` of the links.
  void add_flow(int wanted) {
    Variable variable;
    std::vector<Levels::Load> loads;
    const int links = static_cast<int>(link_.size());
    for (int l = 0; l < links; ++l)
      if (below(generator_, links) < wanted) {
        const double per_rate =
            coarse_ ? 1.0 / (1 + below(generator_, 2)) : uniform(generator_, 0.05, 1);
        variable.consumption.push_back({l, per_rate});
        loads.push_back({link_[l], per_rate});
      }
    variable.share = value(0.5, 8);
    if (loads.empty() || below(generator_, 5) == 0) variable.cap = value(1, 60);
    unsettled_ = true;
    flows_[levels_.add_flow(variable.share, variable.cap, loads)] = variable;
  }
  void remove_flow() {
    auto flow = flows_.begin();
    std::advance(flow, below(generator_, static_cast<int>(flows_.size())));
    levels_.remove_flow(flow->first);
    flows_.erase(flow);
  }
  void change_capacity() {
    const int l = below(generator_, static_cast<int>(link_.size()));
    system_.capacity[l] = value(10, 400);
    levels_.set_capacity(link_[l], system_.capacity[l]);
  }
  bool unsettled() const { return unsettled_; }  // a newcomer cannot leave again
  int flows() const { return static_cast<int>(flows_.size()); }
  std::mt19937_64& generator() { return generator_; }

  // Empty when both agree.
  std::string difference() {
    levels_.settle();
    unsettled_ = false;
    system_.variables.clear();
    Allocation ours;
    for (const auto& [flow, variable] : flows_) {
      system_.variables.push_back(variable);
      ours.rate.push_back(levels_.flow_level(flow) * variable.share);
      const int limiting = levels_.limiting(flow);
      ours.limiting_link.push_back(levels_.is_cap(limiting) ? -1 : index_of(limiting));
    }
    const Allocation full = max_min(system_);
    for (std::size_t v = 0; v < ours.rate.size(); ++v)
      if (std::abs(ours.rate[v] - full.rate[v]) > 1e-9 * full.rate[v])
        return "variable " + std::to_string(v) + ": " + std::to_string(ours.rate[v]) +
               " instead of " + std::to_string(full.rate[v]);
    if (auto violation = certificate_violation(system_, ours); !violation.empty()) return violation;
    return higher_label_exists(ours) ? "a limiting link that is not the lowest" : "";
  }

 private:
  double value(double low, double high) {
    return coarse_ ? low * (1 + below(generator_, 3)) : uniform(generator_, low, high);
  }
  int index_of(int link) const {
    return static_cast<int>(std::find(link_.begin(), link_.end(), link) - link_.begin());
  }
  // The lowest label is the highest index here: is there a binding link beyond the one named?
  bool higher_label_exists(const Allocation& ours) const {
    Allocation other = ours;
    for (std::size_t v = 0; v < ours.rate.size(); ++v)
      for (const Consumption& use : system_.variables[v].consumption) {
        if (use.link <= ours.limiting_link[v]) continue;
        other.limiting_link[v] = use.link;
        if (certificate_violation(system_, other, 1e-12).empty()) return true;
        other.limiting_link[v] = ours.limiting_link[v];
      }
    return false;
  }

  bool coarse_, unsettled_ = false;
  std::mt19937_64 generator_;
  Levels levels_;
  System system_;
  std::vector<int> link_;  // of each link of the system, its index in levels_
  std::map<int, Variable> flows_;
};

// Each step changes one thing or a few at once.
void churn(Twins& twins, int steps, int wanted) {
  for (int step = 0; step < steps; ++step) {
    for (int changes = 1 + below(twins.generator(), 3); changes > 0; --changes) {
      const int kind = below(twins.generator(), 8);
      if (kind == 0)
        twins.change_capacity();
      else if (kind < 4 || twins.flows() == 0)
        twins.add_flow(wanted);
      else if (!twins.unsettled())
        twins.remove_flow();
    }
    INFO("step " << step);
    REQUIRE(twins.difference() == "");
  }
}

}  // namespace

TEST_CASE("levels that follow changes are those of a full solve") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Twins twins(2 + static_cast<int>(seed % 17), false, seed);
    churn(twins, 60, 3);
  }
}

TEST_CASE("levels that follow changes are those of a full solve where ties abound") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Twins twins(2 + static_cast<int>(seed % 17), true, seed);
    churn(twins, 60, 3);
  }
}

TEST_CASE("levels of flows over many links are those of a full solve") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    INFO("seed " << seed);
    Twins twins(80, seed % 2 == 0, seed);
    churn(twins, 40, 40);
  }
}

TEST_CASE("levels of flows that hardly meet are those of a full solve") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    Twins twins(100, seed % 2 == 0, seed);
    churn(twins, 60, seed % 3 == 0 ? 30 : 2);
  }
}
