// The traffic of ../flows.cpp on SimGrid's flow kernel.
//   flows PLATFORM.xml permutations|staggered FLOWS SEED ENDS [--cfg=...]
// Writes each flow's completion in seconds to the file ENDS, a line each, in the order of the
// flows; prints one line of JSON.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <simgrid/s4u.hpp>
#include <string>

#include "../traffic.hpp"

namespace s4u = simgrid::s4u;

namespace {

double wall_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

// node2 before node10.
std::vector<s4u::Host*> hosts_in_order(const s4u::Engine& engine) {
  auto hosts = engine.get_all_hosts();
  std::sort(hosts.begin(), hosts.end(), [](const s4u::Host* a, const s4u::Host* b) {
    const std::string &left = a->get_name(), &right = b->get_name();
    return left.size() != right.size() ? left.size() < right.size() : left < right;
  });
  return hosts;
}

void run(const std::vector<s4u::Host*>& hosts, const std::vector<railwright::bench::Flow>& flows,
         std::vector<double>& ends) {
  std::vector<s4u::CommPtr> communications;
  for (const auto& flow : flows) {
    const double start = static_cast<double>(flow.start_picoseconds) * 1e-12;
    if (start > s4u::Engine::get_clock()) s4u::this_actor::sleep_until(start);
    communications.push_back(
        s4u::Comm::sendto_async(hosts[flow.source], hosts[flow.target], flow.bytes));
  }
  for (auto& communication : communications) communication->wait();
  for (const auto& communication : communications) ends.push_back(communication->get_finish_time());
}

}  // namespace

int main(int argc, char** argv) {
  s4u::Engine engine(&argc, argv);
  if (argc < 6) {
    std::fprintf(stderr, "usage: flows PLATFORM permutations|staggered FLOWS SEED ENDS\n");
    return 2;
  }
  engine.load_platform(argv[1]);
  const auto hosts = hosts_in_order(engine);
  const auto flows = railwright::bench::traffic_named(
      argv[2], static_cast<int>(hosts.size()), std::atoi(argv[3]), std::strtoull(argv[4], {}, 10));
  std::vector<double> ends;
  const double begin = wall_seconds();
  const std::clock_t processor = std::clock();
  s4u::Actor::create("driver", hosts[0], [&] { run(hosts, flows, ends); });
  engine.run();
  const double seconds = wall_seconds() - begin;
  const double used = static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC;
  std::printf("{\"flows\": %zu, \"run_s\": %.4f, \"cpu_s\": %.4f, \"makespan_s\": %.9f}\n",
              flows.size(), seconds, used, *std::max_element(ends.begin(), ends.end()));
  std::FILE* file = std::fopen(argv[5], "w");
  if (file == nullptr) return std::perror(argv[5]), 1;
  for (const double end : ends) std::fprintf(file, "%.15g\n", end);
  return std::fclose(file);
}
