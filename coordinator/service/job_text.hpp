// Documents of the coordinator for people.
#pragma once

#include <string>

#include "coordinator/console.hpp"

namespace railwright::coordinator {

std::string jobs_text(const Json& jobs);
std::string job_text(const Json& job);      // with what has become of it and its launches
std::string runs_text(const Json& runs);    // of any jobs
std::string links_text(const Json& links);  // and how they drift
std::string nodes_text(const Json& nodes);  // that are down

}  // namespace railwright::coordinator
