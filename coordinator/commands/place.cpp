// `railwright place`: chooses among allocations for a plan; the coordinator starts it.
#include <memory>

#include "coordinator/service/choice.hpp"
#include "coordinator/service/commands.hpp"
#include "coordinator/service/files.hpp"

namespace railwright::coordinator {

namespace {

struct Options {
  std::string plan, output, slow_links;
  std::vector<int> first_nodes;
  std::vector<std::string> beside;
};

SlowLinks slow_links_of(const std::string& path) {
  SlowLinks slow;
  const Json document = Json::parse(read_file(path).value_or(""), nullptr, false);
  if (!document.is_object()) return slow;
  for (const auto& [name, factor] : document.items())
    if (factor.is_number()) slow[name] = factor.get<double>();
  return slow;
}

int place(const Options& options) {
  const auto plan = emulator::load_plan(options.plan);
  if (!plan) return report(plan.error());
  const auto cluster = topology::build_cluster(plan->cluster);
  if (!cluster) return report(cluster.error());
  std::vector<emulator::Plan> others;
  for (const std::string& path : options.beside) {
    auto other = emulator::load_plan(path);
    if (!other) return report(other.error());
    others.push_back(std::move(*other));
  }
  const auto allocations = price_allocations(*cluster, *plan, options.first_nodes, others,
                                             slow_links_of(options.slow_links));
  if (!allocations) return report(allocations.error());
  const std::size_t best = best_of(*allocations);
  const auto written =
      emulator::save_plan(moved(*plan, *cluster, (*allocations)[best].first_node), options.output);
  if (!written) return report(written.error());
  print_json(to_json(*allocations, best));
  return exit_ok;
}

}  // namespace

void add_place_command(CommandLine& line) {
  auto options = std::make_shared<Options>();
  CLI::App* command = line.app.add_subcommand("place", "Started by the coordinator, not by hand");
  command->group("");  // not listed
  command->add_option("--plan", options->plan)->required();
  command->add_option("--first-node", options->first_nodes)->required();
  command->add_option("--beside", options->beside);
  command->add_option("--slow-links", options->slow_links);
  command->add_option("-o,--output", options->output)->required();
  command->callback([&line, options] { line.run = [options] { return place(*options); }; });
}

}  // namespace railwright::coordinator
