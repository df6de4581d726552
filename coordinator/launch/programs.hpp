// Where the programs that we start are.
#pragma once

#include <optional>
#include <string>

namespace railwright::coordinator {

// Full path of a program in PATH.
std::optional<std::string> find_program(const std::string& name);
// Beside this binary, else in PATH: railwright-worker is installed with railwright.
std::optional<std::string> find_worker();

}  // namespace railwright::coordinator
