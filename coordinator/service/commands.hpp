// The commands of the service and of its clients; one story in docs/coordinator.md.
#pragma once

#include "coordinator/console.hpp"

namespace railwright::coordinator {

void add_coordinator_command(CommandLine& line);
void add_leader_command(CommandLine& line);      // started by the coordinator
void add_place_command(CommandLine& line);       // as well
void add_reference_commands(CommandLine& line);  // man, completion
void add_job_commands(CommandLine& line);        // submit, jobs, show, cancel, logs, wait

}  // namespace railwright::coordinator
