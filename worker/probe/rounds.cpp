#include <algorithm>

#include "worker/probe/probe.hpp"

namespace railwright::worker {

std::vector<std::vector<RankPair>> rounds_of(int ranks, bool all) {
  std::vector<std::vector<RankPair>> rounds;
  if (!all) {
    for (int bit = 1; bit < ranks; bit *= 2) {
      auto& round = rounds.emplace_back();
      for (int rank = 0; rank < ranks; ++rank)
        if ((rank & bit) == 0 && (rank | bit) < ranks) round.emplace_back(rank, rank | bit);
    }
    return rounds;
  }
  // The circle method: one seat stays, the others turn by one each round; an odd rank out rests.
  const int seats = ranks + ranks % 2, turning = seats - 1;
  for (int turn = 0; turn < turning; ++turn) {
    auto& round = rounds.emplace_back();
    for (int i = 0; i < seats / 2; ++i) {
      const int left = i == 0 ? turning : (turn + i) % turning;
      const int right = (turn - i + turning) % turning;
      if (std::max(left, right) < ranks)
        round.emplace_back(std::min(left, right), std::max(left, right));
    }
  }
  return rounds;
}

}  // namespace railwright::worker
