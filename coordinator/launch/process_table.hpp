// The processes of this machine, from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace railwright::coordinator {

struct ProcessStat {
  std::string name;  // of the program, 15 bytes at most
  char state = 'Z';  // R, S, D, ..; Z and X: it has ended. Z where there is no such process
  pid_t parent = 0, session = 0;
  std::uint64_t started = 0;  // ticks since boot
  bool lives() const { return state != 'Z' && state != 'X'; }
};

ProcessStat stat_of(const std::filesystem::path& folder);  // of /proc: "/proc/self"
void for_processes(const std::function<void(pid_t, const ProcessStat&)>& look);
bool has_live_children(pid_t parent, const std::string& program);

}  // namespace railwright::coordinator
