// `railwright man` and `railwright completion`: the command tree for man and for shells.
#include "coordinator/reference/reference.hpp"

#include <iostream>
#include <memory>

#include "coordinator/service/commands.hpp"

namespace railwright::coordinator {

void add_reference_commands(CommandLine& line) {
  CLI::App* man = line.app.add_subcommand("man", "Print the manual page, as man reads it");
  man->footer("Units: none.\nExample:\n  railwright man | man -l -\n");
  man->callback([&line] {
    line.run = [&line] {
      std::cout << manual_page(line.app);
      return int{exit_ok};
    };
  });
  auto shell = std::make_shared<std::string>();
  CLI::App* completion =
      line.app.add_subcommand("completion", "Print what completes commands in a shell");
  completion->add_option("shell", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  completion->footer("Units: none.\nExample:\n  source <(railwright completion bash)\n");
  completion->callback([&line, shell] {
    line.run = [&line, shell] {
      std::cout << (*shell == "zsh" ? zsh_completion(line.app) : bash_completion(line.app));
      return int{exit_ok};
    };
  });
}

}  // namespace railwright::coordinator
