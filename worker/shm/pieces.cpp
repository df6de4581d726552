#include "worker/shm/pieces.hpp"

#include <algorithm>

namespace railwright::worker {

using collectives::Operation;

Part PieceMaker::slice() const {
  constexpr std::uint64_t line = 64;
  const std::uint64_t lines = (size_.count + line - 1) / line;
  const auto edge = [&](std::uint64_t rank) {
    return std::min(size_.count, lines * rank / static_cast<std::uint64_t>(ranks()) * line);
  };
  const auto rank = static_cast<std::uint64_t>(index_);
  return {edge(rank), edge(rank + 1) - edge(rank)};
}

Part PieceMaker::input() const {
  const Part all = {0, size_.count};
  switch (schedule_.operation) {
    case Operation::all_reduce:
    case Operation::reduce:
    case Operation::reduce_scatter:
      return all;
    case Operation::all_gather:
      return chunks(collectives::own_part(schedule_, index_));
    case Operation::broadcast:
      return index_ == schedule_.root ? all : Part{};
    case Operation::send:
      return index_ == 0 ? all : Part{};
    case Operation::all_to_all:
      return chunks({std::int64_t{index_} * ranks(), ranks()});
  }
  return {};
}

}  // namespace railwright::worker
