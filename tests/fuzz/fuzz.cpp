// fuzz TARGET|all [SECONDS] [SEED] [RUN]: feeds a target mutated inputs for so long; with RUN, that
// one only. A finding prints how to see it again.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "mutation.hpp"
#include "targets.hpp"

using namespace railwright::test;

// Sanitizers end with the same signal as a broken law.
extern "C" const char* __asan_default_options() { return "abort_on_error=1"; }
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

namespace {

char replay[160];  // how to see again what runs now

void tell(int) {
  [[maybe_unused]] const auto written = write(STDERR_FILENO, replay, sizeof replay);
  _exit(1);
}

void run(const Target& target, std::uint64_t seed, std::uint64_t number) {
  std::snprintf(replay, sizeof replay, "see it again: fuzz %s 1 %llu %llu\n", target.name,
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(number));
  target.run(mutated(target.corpus, seed, number));
}

}  // namespace

int main(int count, char** words) {
  const std::string name = count > 1 ? words[1] : "all";
  const double seconds = count > 2 ? std::atof(words[2]) : 10;
  const std::uint64_t seed = count > 3 ? std::strtoull(words[3], nullptr, 10) : 1;
  for (const int deadly : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) signal(deadly, tell);
  bool known = false;
  for (const Target& target : targets()) {
    if (name != "all" && name != target.name) continue;
    known = true;
    const auto begin = std::chrono::steady_clock::now();
    const auto elapsed = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    if (count > 4) {
      run(target, seed, std::strtoull(words[4], nullptr, 10));
      continue;
    }
    std::uint64_t runs = 0;
    while (elapsed() < seconds) run(target, seed, runs++);
    std::cout << target.name << ": " << runs << " inputs in " << elapsed() << " s, seed " << seed
              << ", no finding\n";
  }
  if (!known) std::cerr << "fuzz: no target is called " << name << "\n";
  return known ? 0 : 2;
}
