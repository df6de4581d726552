#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "worker/nccl/nccl_backend.hpp"

namespace railwright::worker {

std::string why_nccl_cannot(const collectives::Schedule& schedule) {
  if (schedule.operation != collectives::Operation::reduce_scatter &&
      schedule.operation != collectives::Operation::all_gather)
    return {};
  for (int rank = 1; rank < schedule.ranks; ++rank)
    if (collectives::own_part(schedule, rank).first <
        collectives::own_part(schedule, rank - 1).first)
      return fmt::format("{} deals the parts out in another order than NCCL",
                         to_string(schedule.algorithm));
  return {};
}

namespace {

using collectives::Algorithm;
using collectives::Operation;

std::string name_of(Operation operation) {
  switch (operation) {
    case Operation::all_reduce:
      return "allreduce";
    case Operation::reduce_scatter:
      return "reducescatter";
    case Operation::all_gather:
      return "allgather";
    case Operation::broadcast:
      return "broadcast";
    case Operation::reduce:
      return "reduce";
    default:
      return {};  // sends: there is nothing to choose
  }
}

// Empty where NCCL has nothing like it for the operation.
std::vector<std::string> names_of(const collectives::Schedule& schedule) {
  const bool all_reduce = schedule.operation == Operation::all_reduce;
  switch (schedule.algorithm) {
    case Algorithm::ring:
      return {"ring"};
    case Algorithm::chain:
    case Algorithm::binomial_tree:
    case Algorithm::double_tree:
      return all_reduce ? std::vector<std::string>{"tree"} : std::vector<std::string>{};
    case Algorithm::nvls:
      return {"nvls", "ring"};
    case Algorithm::nvls_tree:
      return all_reduce ? std::vector<std::string>{"nvlstree", "ring"} : std::vector<std::string>{};
    case Algorithm::sharp:
      return {"collnetdirect", "collnetchain", "ring"};
    case Algorithm::pat:
      return {"pat", "ring"};
    default:
      return {};
  }
}

}  // namespace

std::string nccl_algorithms(std::span<const collectives::Schedule> planned, int version) {
  constexpr int operations_since = 22400;
  if (version < operations_since) return {};
  std::map<std::string, std::set<std::string>> wanted;
  std::set<std::string> unknown;
  for (const collectives::Schedule& schedule : planned) {
    const std::string operation = name_of(schedule.operation);
    if (operation.empty() || schedule.ranks < 2) continue;
    const std::vector<std::string> names = names_of(schedule);
    if (names.empty()) unknown.insert(operation);
    wanted[operation].insert(names.begin(), names.end());
  }
  std::string text;
  for (const auto& [operation, names] : wanted)
    if (!unknown.contains(operation))
      text += fmt::format("{}{}:{}", text.empty() ? "" : ";", operation, fmt::join(names, ","));
  return text;
}

int nccl_ids(int ranks) {
  constexpr int ranks_of_an_id = 1024;
  return std::max(1, (ranks + ranks_of_an_id - 1) / ranks_of_an_id);
}

}  // namespace railwright::worker
