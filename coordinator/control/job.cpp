#include "coordinator/control/job.hpp"

#include <array>
#include <cassert>
#include <cstddef>

namespace railwright::coordinator::control {

namespace {

constexpr std::array<std::string_view, 8> state_names = {
    "queued", "planning", "starting", "running", "recovering", "done", "failed", "cancelled"};
constexpr std::array<std::string_view, 5> failure_names = {"none", "run", "invalid", "infeasible",
                                                           "lost"};

template <class Value, std::size_t n>
Value value_of(const std::array<std::string_view, n>& names, std::string_view name) {
  for (std::size_t i = 0; i < n; ++i)
    if (names[i] == name) return static_cast<Value>(i);
  assert(false && "no such name");
  return {};
}

}  // namespace

std::string_view to_string(State state) { return state_names[static_cast<std::size_t>(state)]; }
State state_of(std::string_view name) { return value_of<State>(state_names, name); }

std::string_view to_string(Failure failure) {
  return failure_names[static_cast<std::size_t>(failure)];
}
Failure failure_of(std::string_view name) { return value_of<Failure>(failure_names, name); }

}  // namespace railwright::coordinator::control
