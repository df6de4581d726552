#include "coordinator/service/checkpoints.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace railwright::coordinator {

namespace {

// "step-00000100.json"
std::int64_t step_of(const std::string& name) {
  const std::string before = "step-", after = ".json";
  if (!name.starts_with(before) || !name.ends_with(after)) return 0;
  std::int64_t step = 0;
  const char* end = name.data() + name.size() - after.size();
  const auto [stop, error] = std::from_chars(name.data() + before.size(), end, step);
  return error == std::errc{} && stop == end ? step : 0;
}

}  // namespace

std::int64_t stored_steps(const std::string& folder) {
  std::int64_t most = 0;
  std::error_code failed;
  std::filesystem::directory_iterator entry(folder, failed);
  for (; !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed))
    most = std::max(most, step_of(entry->path().filename()));
  return most;
}

}  // namespace railwright::coordinator
