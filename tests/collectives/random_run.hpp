// Runs a list of sends on numbers, in a random order that the rule of schedule.hpp allows: a check
// of the schedules, and of the proof, that shares no code with the proof.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "collectives/proof.hpp"

namespace railwright::collectives::test {

class RandomRun {
 public:
  RandomRun(const Schedule& schedule, const std::vector<TimedSend>& sends, std::mt19937_64& random)
      : schedule_(schedule), sends_(sends), random_(random), chunks_(chunk_count(schedule)) {
    state_.assign(sends.size(), State::waiting);
    carried_.resize(sends.size());
    for (int i = 0; i < schedule.ranks * chunks_; ++i) given_.push_back(random());
    held_ = given_;
    link_dependencies();
  }

  bool gives_right_result() {
    for (std::size_t complete = 0; complete < sends_.size();) {
      const std::size_t i = random_() % sends_.size();
      if (state_[i] == State::waiting && may_start(i)) {
        state_[i] = State::started;
      } else if (state_[i] == State::started) {
        depart(i);
      } else if (state_[i] == State::left && may_arrive(i)) {
        arrive(i);
        ++complete;
      }
    }
    return result_is_right();
  }

 private:
  enum class State : std::uint8_t { waiting, started, left, complete };

  static bool touch(ChunkRange a, ChunkRange b) {
    return a.first < b.first + b.count && b.first < a.first + a.count;
  }

  void link_dependencies() {
    needs_complete_.resize(sends_.size());
    needs_departure_.resize(sends_.size());
    needs_reads_.resize(sends_.size());
    for (std::size_t i = 0; i < sends_.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const TimedSend &a = sends_[j], &b = sends_[i];
        const bool earlier = a.phase < b.phase || (a.phase == b.phase && a.step < b.step);
        if (earlier && a.send.target == b.send.source && touch(a.send.chunks, b.send.chunks))
          needs_complete_[i].push_back(j);
        if (a.send.source == b.send.source && a.send.channel == b.send.channel)
          needs_departure_[i].push_back(j);
      }
    for (std::size_t i = 0; i < sends_.size(); ++i)
      for (std::size_t j = 0; j < sends_.size(); ++j) {
        const TimedSend &read = sends_[j], &write = sends_[i];
        const bool later = std::pair(read.phase, read.step) > std::pair(write.phase, write.step);
        if (!later && read.send.source == write.send.target &&
            touch(read.send.chunks, write.send.chunks))
          needs_reads_[i].push_back(j);
      }
  }

  bool may_start(std::size_t i) const {
    for (const std::size_t j : needs_complete_[i])
      if (state_[j] != State::complete) return false;
    for (const std::size_t j : needs_departure_[i])
      if (state_[j] == State::waiting || state_[j] == State::started) return false;
    return true;
  }

  bool may_arrive(std::size_t i) const {
    return std::ranges::all_of(needs_reads_[i], [&](std::size_t j) {
      return state_[j] == State::left || state_[j] == State::complete;
    });
  }

  std::uint64_t& at(std::vector<std::uint64_t>& values, int rank, std::int64_t chunk) {
    return values[static_cast<std::size_t>(rank * chunks_ + chunk)];
  }

  void depart(std::size_t i) {
    const Send& send = sends_[i].send;
    for (std::int64_t k = 0; k < send.chunks.count; ++k)
      carried_[i].push_back(at(held_, send.source, send.chunks.first + k));
    state_[i] = State::left;
  }

  void arrive(std::size_t i) {
    const Send& send = sends_[i].send;
    for (std::int64_t k = 0; k < send.chunks.count; ++k) {
      std::uint64_t& value = at(held_, send.target, send.chunks.first + k);
      const std::uint64_t arriving = carried_[i][static_cast<std::size_t>(k)];
      value = send.action == Action::copy ? arriving : value + arriving;
    }
    state_[i] = State::complete;
  }

  std::uint64_t sum(std::int64_t chunk) {
    std::uint64_t total = 0;
    for (int rank = 0; rank < schedule_.ranks; ++rank) total += at(given_, rank, chunk);
    return total;
  }

  bool owns(int rank, std::int64_t chunk) const {
    const ChunkRange part = own_part(schedule_, rank);
    return chunk >= part.first && chunk < part.first + part.count;
  }

  bool cell_is_right(int rank, std::int64_t chunk) {
    const std::uint64_t value = at(held_, rank, chunk);
    const int ranks = schedule_.ranks;
    switch (schedule_.operation) {
      case Operation::all_reduce:
        return value == sum(chunk);
      case Operation::reduce_scatter:
        return !owns(rank, chunk) || value == sum(chunk);
      case Operation::broadcast:
        return value == at(given_, schedule_.root, chunk);
      case Operation::reduce:
        return rank != schedule_.root || value == sum(chunk);
      case Operation::send:
        return rank != ranks - 1 || value == at(given_, 0, chunk);
      case Operation::all_to_all:
        return chunk % ranks != rank || value == at(given_, static_cast<int>(chunk / ranks), chunk);
      case Operation::all_gather:
        for (int owner = 0; owner < ranks; ++owner)
          if (owns(owner, chunk)) return value == at(given_, owner, chunk);
    }
    return false;
  }

  bool result_is_right() {
    for (int rank = 0; rank < schedule_.ranks; ++rank)
      for (std::int64_t chunk = 0; chunk < chunks_; ++chunk)
        if (!cell_is_right(rank, chunk)) return false;
    return true;
  }

  const Schedule& schedule_;
  const std::vector<TimedSend>& sends_;
  std::mt19937_64& random_;
  std::int64_t chunks_;
  std::vector<State> state_;
  std::vector<std::vector<std::size_t>> needs_complete_, needs_departure_, needs_reads_;
  std::vector<std::vector<std::uint64_t>> carried_;
  std::vector<std::uint64_t> given_, held_;
};

}  // namespace railwright::collectives::test
