// The commands in the forms of other programs: manual pages and the completion of shells. All of it
// comes from the command tree itself, so that nothing can be forgotten.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace railwright::coordinator {

// railwright.1 in the macros of man(7), with every listed command and its options.
std::string manual_page(const CLI::App& app);
// To be sourced: railwright and its commands, options and the words that options take.
std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);

}  // namespace railwright::coordinator
