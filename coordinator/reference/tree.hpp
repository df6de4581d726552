// Walking the commands that users see.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace railwright::coordinator {

struct Command {
  std::vector<std::string> words;  // {"topology", "show"}; empty: the program
  const CLI::App* app = nullptr;
};

inline std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

inline std::vector<const CLI::App*> listed_commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); });
}

// The program first, then depth first in the order of --help.
inline std::vector<Command> all_commands(const CLI::App& app, std::vector<std::string> words = {}) {
  std::vector<Command> commands = {{words, &app}};
  for (const CLI::App* sub : listed_commands(app)) {
    auto below = words;
    below.push_back(sub->get_name());
    const auto more = all_commands(*sub, below);
    commands.insert(commands.end(), more.begin(), more.end());
  }
  return commands;
}

inline std::vector<std::string> spellings(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

}  // namespace railwright::coordinator
