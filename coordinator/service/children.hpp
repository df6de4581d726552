// Processes that the coordinator starts and does not wait for, each in a session of its own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "topology/result.hpp"

namespace railwright::coordinator {

struct Child {
  std::vector<std::string> arguments;                            // the program's path first
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::string output_path, error_path;  // written anew, appended to; "" = /dev/null
  std::string folder;                   // where it works
};

// The child's process id, which is its session's too.
Result<pid_t> start_child(const Child& child);

// One process and no other: ids come again, start times of one boot do not.
struct Identity {
  pid_t pid = 0;
  std::uint64_t started = 0;  // clock ticks after boot
  std::string boot;           // names it
};
Identity own_identity();
bool lives(const Identity& process);  // zombies do not
std::string boot_name();              // of this one; "": not known

// Processes of a session that still live. Zombies do not count.
std::vector<pid_t> members_of_session(pid_t session);
// A signal to each of them.
void signal_session(pid_t session, int signal);

// `command` such that it gets the signal when the thread that started it ends, however it ends.
std::vector<std::string> tethered(std::vector<std::string> command, const char* signal);

std::string own_program();  // full path of this binary

}  // namespace railwright::coordinator
