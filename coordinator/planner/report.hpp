// What `railwright plan` prints: a table for people, one document for programs.
#pragma once

#include <string>

#include "coordinator/console.hpp"
#include "coordinator/coordinator.hpp"

namespace railwright::coordinator {

Json planning_json(const Planning& planning, double wall_s);
std::string planning_text(const Planning& planning, double wall_s);

// [{cause, seconds, picoseconds}], largest first.
Json blame_json(const emulator::Blame& blame);

}  // namespace railwright::coordinator
