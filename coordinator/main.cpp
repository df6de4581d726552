// The `railwright` command: chooses a command and turns outcomes into exit statuses.
#include <algorithm>
#include <iostream>
#include <string>

#include "coordinator/console.hpp"
#include "coordinator/service/commands.hpp"
#include "topology/topology.hpp"
#include "topology/version.hpp"

namespace {

using namespace railwright;
using namespace railwright::coordinator;

void add_commands(CommandLine& line) {
  add_topology_command(line);
  add_collective_command(line);
  add_plan_command(line);
  add_emulate_command(line);
  add_run_command(line);
  add_calibrate_command(line);
  add_validate_command(line);
  add_coordinator_command(line);
  add_leader_command(line);
  add_place_command(line);
  add_job_commands(line);
  add_doctor_command(line);
  add_reference_commands(line);
}

// CLI11 would only say that the word was not expected.
bool is_unknown_command(const CLI::App& app, const std::string& word) {
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  return !commands.empty() && !word.starts_with('-') &&
         std::none_of(commands.begin(), commands.end(),
                      [&](const CLI::App* command) { return command->get_name() == word; });
}

int report_unknown_command(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  const auto close = topology::closest_names(word, names);
  return report_usage(
      "unknown command '" + word + "'",
      close.empty() ? "--help lists the commands" : "did you mean '" + close.front() + "'?");
}

int run(int argc, char** argv) {
  CommandLine line;
  line.app.name("railwright");
  line.app.require_subcommand(1);
  line.app.set_version_flag("--version", std::string("railwright ") + tool_version);
  line.app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("error: ") + error.what() + "; --help lists what can be written\n";
  });
  add_commands(line);
  if (argc < 2) {
    std::cout << line.app.help();
    return exit_ok;
  }
  if (is_unknown_command(line.app, argv[1])) return report_unknown_command(line.app, argv[1]);
  if (argc > 2 && !std::string(argv[1]).starts_with('-')) {
    const CLI::App& group = *line.app.get_subcommand(argv[1]);
    if (is_unknown_command(group, argv[2])) return report_unknown_command(group, argv[2]);
  }
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 numbers its errors from 100; users and mpirun expect 2.
    return line.app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  return line.run();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return exit_failed;
  }
}
