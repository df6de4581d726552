#include "emulator/step/prepared.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace railwright::emulator {

namespace {

// Every set of dead links has a router with a word per link.
Errors too_many_losses(const topology::Cluster& cluster, const StepFaults& faults) {
  constexpr std::int64_t most_words = 4'000'000'000, most_epochs = 10'000;
  const auto epochs = std::ssize(courses_of_dead_links(faults.links));
  if (epochs <= most_epochs && epochs * cluster.graph.links() <= most_words) return {};
  return {{{},
           fmt::format("links die and return {} times within one step", epochs - 1),
           "leave out events, or give them smaller rates"}};
}

}  // namespace

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
  if (Errors errors = too_many_losses(cluster, options.faults); !errors.empty())
    return tl::unexpected<Errors>(std::move(errors));
  const LiveRoutes routes(cluster, options.faults.links);
  Result<Folding> folding = options.fold ? folded(*step.programs_, plan, routes, calibration,
                                                  options.faults, options.most_looked_at)
                                         : Result<Folding>(unfolded(*step.programs_));
  if (!folding) return tl::unexpected<Errors>(folding.error());
  step.folding_ = std::make_unique<Folding>(std::move(*folding));
  Result<Layout> layout = Layout::make(*step.programs_, *step.folding_, options.most_instances);
  if (!layout) return tl::unexpected<Errors>(layout.error());
  step.layout_ = std::make_unique<Layout>(std::move(*layout));
  return step;
}

Execution PreparedStep::set_up(const topology::Cluster& cluster,
                               std::shared_ptr<Network> network) const {
  auto routes = std::make_unique<LiveRoutes>(cluster, faults_->links);
  auto costs = std::make_unique<StepCosts>(*routes, *plan_, *layout_, *calibration_, *faults_);
  return {std::move(routes), std::move(costs), std::move(network), {}};
}

std::unique_ptr<StepEngine> PreparedStep::engine(Execution& execution) const {
  return std::make_unique<StepEngine>(*layout_, *execution.costs, *execution.network,
                                      *execution.routes, *faults_);
}

Execution PreparedStep::run(const topology::Cluster& cluster,
                            const std::function<void(double)>& progress,
                            const std::function<void(Network&, StepEngine&)>& prepare) const {
  Execution execution = set_up(cluster, std::make_shared<Network>(cluster.graph, *calibration_));
  run_alone(execution, progress, prepare);
  return execution;
}

Execution PreparedStep::run_again(const topology::Cluster& cluster, const StepCosts& priced) const {
  auto routes = std::make_unique<LiveRoutes>(cluster, faults_->links);
  auto costs = std::make_unique<StepCosts>(*routes, priced);
  Execution execution{std::move(routes),
                      std::move(costs),
                      std::make_shared<Network>(cluster.graph, *calibration_),
                      {}};
  run_alone(execution, {}, {});
  return execution;
}

void PreparedStep::run_alone(Execution& execution, const std::function<void(double)>& progress,
                             const std::function<void(Network&, StepEngine&)>& prepare) const {
  const auto own = engine(execution);
  if (prepare) prepare(*execution.network, *own);
  own->begin(Instant{0});
  StepEngine* const alone[] = {own.get()};
  constexpr std::int64_t report_every = 1 << 16;
  for (std::int64_t instants = 1; !own->ended(); ++instants) {
    if (!run_instant(alone, *execution.network)) break;
    if (progress && instants % report_every == 0) progress(own->progress());
  }
  execution.record = own->take();
}

std::vector<Execution> PreparedStep::run_together(const std::vector<const PreparedStep*>& steps,
                                                  const topology::Cluster& cluster) {
  const auto network = std::make_shared<Network>(cluster.graph, *steps.front()->calibration_);
  std::vector<Execution> executions;
  for (const PreparedStep* step : steps) executions.push_back(step->set_up(cluster, network));
  std::vector<std::unique_ptr<StepEngine>> engines;
  std::vector<StepEngine*> running;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    engines.push_back(steps[i]->engine(executions[i]));
    running.push_back(engines.back().get());
    running.back()->begin(Instant{0});
  }
  std::vector<bool> ended(steps.size(), false);
  std::size_t left = steps.size();
  // Steps that ended begin again, as neighbours of the others: as long as one of those goes on.
  const auto goes_on = [&] {
    for (std::size_t i = 0; i < steps.size(); ++i)
      if (!ended[i] && !running[i]->stuck()) return true;
    return false;
  };
  while (left > 0 && goes_on()) {
    const auto now = run_instant(running, *network);
    if (!now) break;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (!running[i]->ended()) continue;
      if (!ended[i]) executions[i].record = running[i]->take();
      left -= ended[i] ? 0 : 1;
      ended[i] = true;
      engines[i] = steps[i]->engine(executions[i]);
      running[i] = engines[i].get();
      running[i]->begin(*now);
    }
  }
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (!ended[i]) executions[i].record = running[i]->take();
  return executions;
}

}  // namespace railwright::emulator
