// A plan in the words of the framework that trains it: launch arguments or a configuration file.
//
// What a framework cannot express is refused by name, never dropped: a plan that is launched must
// be the plan that was priced. Each text begins with the version whose options it uses.
#pragma once

#include <string>

#include "emulator/plan.hpp"

namespace railwright::coordinator {

enum class Framework : std::uint8_t { megatron, torchtitan, deepspeed, nemo };

// Errors name the option of the plan and the framework.
Result<std::string> emit(Framework framework, const emulator::Plan& plan);

// A Slurm job script that runs the plan in `plan_file` on the nodes that it asks for. The file's
// name may hold any character: it is quoted.
Result<std::string> emit_sbatch(const emulator::Plan& plan, const std::string& plan_file);

// In single quotes, so that a shell takes it as it is.
std::string shell_quoted(const std::string& text);

}  // namespace railwright::coordinator
