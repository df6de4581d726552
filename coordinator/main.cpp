// The `railwright` command: chooses a command and turns outcomes into exit statuses.
#include <iostream>

#include "coordinator/console.hpp"
#include "topology/version.hpp"

int main(int argc, char** argv) {
  using namespace railwright;
  using namespace railwright::coordinator;
  CommandLine line;
  line.app.name("railwright");
  line.app.require_subcommand(1);
  line.app.set_version_flag("--version", std::string("railwright ") + tool_version);
  try {
    line.app.parse(argc, argv);
    return line.run();
  } catch (const CLI::ParseError& error) {
    // CLI11 numbers its errors from 100; users and mpirun expect 2.
    return line.app.exit(error) == 0 ? exit_ok : exit_usage;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return exit_failed;
  }
}
