#include "worker/await.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>

namespace railwright::worker {
namespace {

struct Ended {
  int status = -1;
  std::string errors;
};

// A process that makes a call of so many seconds under a watchdog of 0.2 s.
Ended watched_call(double call_s) {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const pid_t process = fork();
  if (process == 0) {
    dup2(ends[1], STDERR_FILENO);
    World world;
    world.rank = 3;
    world.patience = Seconds{0.2};
    {
      const Watchdog watchdog(world, "a call");
      std::this_thread::sleep_for(std::chrono::duration<double>(call_s));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    _exit(0);
  }
  close(ends[1]);
  Ended ended;
  std::array<char, 256> text{};
  for (ssize_t count = 0; (count = read(ends[0], text.data(), text.size())) > 0;)
    ended.errors.append(text.data(), static_cast<std::size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(process, &status, 0);
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ended;
}

TEST_CASE("a call that does not end is ended by its watchdog, one that does is left alone") {
  const Ended hung = watched_call(30);
  CHECK(hung.status == exit_peer_lost);
  CHECK(hung.errors == "rank 3: a call does not end for 0.2 s: a rank is lost\n");
  const Ended quick = watched_call(0);
  CHECK(quick.status == 0);
  CHECK(quick.errors.empty());
}

}  // namespace
}  // namespace railwright::worker
