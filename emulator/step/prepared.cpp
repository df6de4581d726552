#include "emulator/step/prepared.hpp"

#include <algorithm>

namespace railwright::emulator {

Picoseconds length_of(const StepRecord& record) {
  Instant end{0};
  for (const Instant at : record.end) end = std::max(end, at);
  return end - Instant{0};
}

Result<PreparedStep> PreparedStep::make(const topology::Cluster& cluster, const Plan& plan,
                                        std::vector<workload::Program> programs,
                                        const topology::Calibration& calibration,
                                        const StepOptions& options) {
  PreparedStep step;
  step.plan_ = &plan;
  step.calibration_ = &calibration;
  step.faults_ = &options.faults;
  Result<Programs> tables = Programs::make(plan, std::move(programs));
  if (!tables) return tl::unexpected<Errors>(tables.error());
  step.programs_ = std::make_unique<Programs>(std::move(*tables));
  const topology::Router router(cluster);
  Result<Folding> folding = options.fold
                                ? folded(*step.programs_, plan, router, calibration, options.faults)
                                : Result<Folding>(unfolded(*step.programs_));
  if (!folding) return tl::unexpected<Errors>(folding.error());
  step.folding_ = std::make_unique<Folding>(std::move(*folding));
  Result<Layout> layout = Layout::make(*step.programs_, *step.folding_);
  if (!layout) return tl::unexpected<Errors>(layout.error());
  step.layout_ = std::make_unique<Layout>(std::move(*layout));
  return step;
}

Execution PreparedStep::run(const topology::Cluster& cluster,
                            const std::function<void(double)>& progress) const {
  auto router = std::make_unique<topology::Router>(cluster);
  auto costs = std::make_unique<StepCosts>(*router, *plan_, *layout_, *calibration_, *faults_);
  return run_with(std::move(router), std::move(costs), progress);
}

Execution PreparedStep::run_again(const topology::Cluster& cluster, const StepCosts& priced) const {
  auto router = std::make_unique<topology::Router>(cluster);
  auto costs = std::make_unique<StepCosts>(*router, priced);
  return run_with(std::move(router), std::move(costs), {});
}

Execution PreparedStep::run_with(std::unique_ptr<topology::Router> router,
                                 std::unique_ptr<StepCosts> costs,
                                 const std::function<void(double)>& progress) const {
  const topology::Graph& graph = router->cluster().graph;
  Execution execution{std::move(router), std::move(costs), Network(graph, *calibration_), {}};
  execution.record =
      StepEngine(*layout_, *execution.costs, execution.network, *faults_).run(progress);
  return execution;
}

}  // namespace railwright::emulator
