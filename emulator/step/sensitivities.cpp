#include "emulator/step/sensitivities.hpp"

#include <algorithm>

namespace railwright::emulator {

namespace {

constexpr double more = 1 + sensitivity_change;

// Scales what it is about, runs, and puts things back.
class Variations {
 public:
  Variations(const PreparedStep& step, const topology::Cluster& cluster, const StepCosts& priced)
      : step_(step), cluster_(cluster), priced_(priced), varied_(cluster) {}

  void tensor() {
    for (topology::AcceleratorKind& kind : varied_.spec.accelerator_kinds)
      for (auto& [precision, rate] : kind.peak) rate = more * rate;
    run("tensor");
    varied_.spec.accelerator_kinds = cluster_.spec.accelerator_kinds;
  }
  void hbm() {
    for (topology::AcceleratorKind& kind : varied_.spec.accelerator_kinds)
      kind.memory_bandwidth = more * kind.memory_bandwidth;
    run("hbm");
    varied_.spec.accelerator_kinds = cluster_.spec.accelerator_kinds;
  }
  void links(std::size_t link_class) {
    topology::LinkClass& varied = varied_.graph.classes[link_class];
    varied.capacity = more * varied.capacity;
    run("link:" + varied.name);
    varied.capacity = cluster_.graph.classes[link_class].capacity;
  }

  std::vector<Sensitivity> take() && {
    std::stable_sort(found_.begin(), found_.end(), [](const Sensitivity& a, const Sensitivity& b) {
      return a.step_time < b.step_time;
    });
    return std::move(found_);
  }

 private:
  void run(std::string what) {
    const StepRecord record = step_.run_again(varied_, priced_).record;
    if (!record.outlasts_time && !record.standstill)
      found_.push_back({std::move(what), length_of(record)});
  }

  const PreparedStep& step_;
  const topology::Cluster& cluster_;
  const StepCosts& priced_;
  topology::Cluster varied_;
  std::vector<Sensitivity> found_;
};

}  // namespace

std::vector<Sensitivity> sensitivities_of(const PreparedStep& step,
                                          const topology::Cluster& cluster, const StepCosts& priced,
                                          const std::vector<double>& class_bytes) {
  Variations variations(step, cluster, priced);
  variations.tensor();
  variations.hbm();
  for (std::size_t c = 0; c < class_bytes.size(); ++c)
    if (class_bytes[c] > 0) variations.links(c);
  return std::move(variations).take();
}

}  // namespace railwright::emulator
