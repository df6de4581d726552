#include "coordinator/launch/process_table.hpp"

#include <charconv>
#include <fstream>
#include <sstream>
#include <string>

namespace railwright::coordinator {

// "pid (name) state parent group session ..., the start as 22nd": the name may hold anything, so
// from its last ')'.
ProcessStat stat_of(const std::filesystem::path& folder) {
  std::ifstream file(folder / "stat");
  std::string line;
  std::getline(file, line);
  const auto end = line.rfind(')');
  ProcessStat stat;
  const auto begin = line.find('(');
  if (end == std::string::npos || begin > end) return stat;
  stat.name = line.substr(begin + 1, end - begin - 1);
  pid_t group = 0;
  std::istringstream rest(line.substr(end + 1));
  rest >> stat.state >> stat.parent >> group >> stat.session;
  constexpr int session_field = 6, start_field = 22;
  std::string skipped;
  for (int field = session_field + 1; field < start_field; ++field) rest >> skipped;
  rest >> stat.started;
  return stat;
}

void for_processes(const std::function<void(pid_t, const ProcessStat&)>& look) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", failed)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc{} && end == name.data() + name.size()) look(pid, stat_of(entry.path()));
  }
}

bool has_live_children(pid_t parent, const std::string& program) {
  constexpr std::size_t longest_name = 15;  // that the kernel keeps
  const std::string name = program.substr(0, longest_name);
  bool found = false;
  for_processes([&](pid_t, const ProcessStat& stat) {
    found = found || (stat.parent == parent && stat.name == name && stat.lives());
  });
  return found;
}

}  // namespace railwright::coordinator
