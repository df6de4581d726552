// The proof is only worth what it notices: schedules with one send broken.
#include <catch2/catch.hpp>

#include "collectives/proof.hpp"
#include "tests/collectives/groups.hpp"
#include "tests/collectives/random_run.hpp"

using namespace railwright;
using namespace railwright::collectives;
using namespace railwright::collectives::test;

namespace {

using Sends = std::vector<TimedSend>;

// Group sizes with and without a surplus over a power of two.
std::vector<Schedule> victims() {
  std::vector<Schedule> all;
  for (const int ranks : {2, 3, 6, 7})
    for (const Schedule& schedule : schedules_of(ranks)) all.push_back(schedule);
  return all;
}

bool runs_right(const Schedule& schedule, const Sends& sends, std::mt19937_64& random) {
  return RandomRun(schedule, sends, random).gives_right_result();
}

// Some mutants are other correct schedules (a contribution may join the ring elsewhere). The proof
// may pass those, and only those.
class Tally {
 public:
  void judge(const Schedule& schedule, const Sends& mutant, const std::string& what) {
    INFO(text_of(schedule) << ", " << what);
    ++mutants_;
    if (!violation_of(schedule, mutant).empty()) {
      ++noticed_;
      return;
    }
    for (int run = 0; run < 2; ++run) REQUIRE(runs_right(schedule, mutant, random_));
  }
  double noticed() const { return static_cast<double>(noticed_) / mutants_; }

 private:
  int mutants_ = 0, noticed_ = 0;
  std::mt19937_64 random_{20261122};
};

// All sends of short schedules, some 10 of long ones, spread evenly.
template <class Mutate>
void for_each_send(Mutate mutate) {
  for (const Schedule& schedule : victims()) {
    const Sends sends = all_sends(schedule);
    const std::size_t stride = std::max<std::size_t>(1, sends.size() / 10);
    for (std::size_t i = 0; i < sends.size(); i += stride) mutate(schedule, sends, i);
  }
}

}  // namespace

TEST_CASE("a proven schedule computes the right numbers in random admissible orders") {
  std::mt19937_64 random(7);
  INFO("seed 7");
  for (const int ranks : {2, 3, 5, 6, 8, 12})
    for (const Schedule& schedule : schedules_of(ranks)) {
      INFO(text_of(schedule));
      const Sends sends = all_sends(schedule);
      for (int run = 0; run < (ranks < 6 ? 20 : ranks < 12 ? 4 : 1); ++run)
        REQUIRE(runs_right(schedule, sends, random));
    }
}

TEST_CASE("a dropped send is noticed, whichever it is") {
  for_each_send([](const Schedule& schedule, Sends mutant, std::size_t i) {
    mutant.erase(mutant.begin() + static_cast<std::ptrdiff_t>(i));
    INFO(text_of(schedule) << ", send " << i);
    REQUIRE(violation_of(schedule, mutant) != "");
  });
}

TEST_CASE("a doubled send is noticed, whichever it is") {
  for_each_send([](const Schedule& schedule, Sends mutant, std::size_t i) {
    mutant.insert(mutant.begin() + static_cast<std::ptrdiff_t>(i), TimedSend(mutant[i]));
    INFO(text_of(schedule) << ", send " << i);
    REQUIRE(violation_of(schedule, mutant) != "");
  });
}

TEST_CASE("a redirected send is noticed unless the result stays right") {
  Tally tally;
  for_each_send([&](const Schedule& schedule, Sends mutant, std::size_t i) {
    const int right = mutant[i].send.target;
    for (int target = 0; target < schedule.ranks; ++target) {
      if (target == right) continue;
      mutant[i].send.target = target;
      tally.judge(schedule, mutant, "send " + std::to_string(i) + " to " + std::to_string(target));
    }
  });
  CHECK(tally.noticed() > 0.8);
}

TEST_CASE("a send of other chunks is noticed unless the result stays right") {
  Tally tally;
  for_each_send([&](const Schedule& schedule, Sends mutant, std::size_t i) {
    ChunkRange& chunks = mutant[i].send.chunks;
    const std::int64_t places = chunk_count(schedule) - chunks.count + 1;
    if (places == 1) return;
    chunks.first = (chunks.first + 1) % places;
    tally.judge(schedule, mutant, "send " + std::to_string(i));
  });
  CHECK(tally.noticed() > 0.95);
}

TEST_CASE("a send of another action is noticed unless the result stays right") {
  Tally tally;
  for_each_send([&](const Schedule& schedule, Sends mutant, std::size_t i) {
    // Adding to nothing is copying, but real buffers hold something there.
    if (mutant[i].send.action == Action::copy && schedule.operation != Operation::all_reduce)
      return;
    Action& action = mutant[i].send.action;
    action = action == Action::copy ? Action::reduce : Action::copy;
    tally.judge(schedule, mutant, "send " + std::to_string(i));
  });
  CHECK(tally.noticed() > 0.95);
}

TEST_CASE("two swapped sends are noticed unless the result stays right") {
  Tally tally;
  std::mt19937_64 random(11);
  INFO("seed 11");
  for (const Schedule& schedule : schedules_of(6)) {
    const Sends sends = all_sends(schedule);
    for (int trial = 0; trial < 80 && sends.size() > 1; ++trial) {
      const std::size_t i = random() % sends.size(), j = random() % sends.size();
      if (i == j) continue;
      Sends mutant = sends;
      std::swap(mutant[i].send, mutant[j].send);
      tally.judge(schedule, mutant, std::to_string(i) + " and " + std::to_string(j));
    }
  }
  CHECK(tally.noticed() > 0.5);
}

TEST_CASE("a step reads before it writes: partners may exchange whole buffers") {
  const Schedule schedule{Operation::all_reduce, Algorithm::recursive_doubling, 2};
  const Sends sends = {
      {{0, 1, {0, 1}, Action::reduce, 0}, 0, 0},
      {{1, 0, {0, 1}, Action::reduce, 0}, 0, 0},
  };
  CHECK(violation_of(schedule, sends) == "");
  // One step later rank 1 would send what it has received.
  CHECK(violation_of(schedule, {sends[0], {sends[1].send, 0, 1}}) != "");
}

TEST_CASE("two writes that nothing orders are noticed though the sets come out right") {
  // Both bring the same data to rank 1, and the second may arrive while rank 1 still passes on the
  // first.
  const Schedule schedule{Operation::broadcast, Algorithm::direct, 3};
  const Sends sends = {
      {{0, 1, {0, 1}, Action::copy, 0}, 0, 0},
      {{1, 2, {0, 1}, Action::copy, 0}, 0, 1},
      {{0, 1, {0, 1}, Action::copy, 1}, 0, 1},
  };
  CHECK(violation_of(schedule, {sends[0], sends[1]}) == "");
  CHECK(violation_of(schedule, sends).find("is not ordered with") != std::string::npos);
}

TEST_CASE("a send outside the group, the buffer or the channels is noticed") {
  const Schedule schedule{Operation::broadcast, Algorithm::direct, 2};
  CHECK(violation_of(schedule, {{{0, 2, {0, 1}, Action::copy, 0}, 0, 0}}) != "");
  CHECK(violation_of(schedule, {{{0, 0, {0, 1}, Action::copy, 0}, 0, 0}}) != "");
  CHECK(violation_of(schedule, {{{0, 1, {1, 1}, Action::copy, 0}, 0, 0}}) != "");
  CHECK(violation_of(schedule, {{{0, 1, {0, 0}, Action::copy, 0}, 0, 0}}) != "");
  CHECK(violation_of(schedule, {{{0, 1, {0, 1}, Action::copy, 1}, 0, 0}}) != "");
}
