// Many flows that complete one by one, on our network: the twin of simgrid/flows.cpp.
//   flows CLUSTER permutations|staggered FLOWS SEED [--check N] [--ends FILE]
// Prints one line of JSON: build and run seconds, makespan, memory. --ends writes each flow's
// completion in seconds, a line each, in the order of the flows. --check N asks for the certificate
// after every Nth event.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "bench/traffic.hpp"
#include "emulator/network.hpp"

using namespace railwright;

namespace {

double wall_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

rusage used() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

double processor_seconds() {
  const rusage usage = used();
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

struct Options {
  const char *cluster, *traffic, *ends = nullptr;
  int flows, check = 0;
  std::uint64_t seed;
};

struct Run {
  std::vector<Instant> end;
  std::int64_t events = 0;
  double seconds = 0, processor = 0;
};

// Starts and ends as they come, the starts of an instant before its ends.
Run run(emulator::Network& network, const std::vector<bench::Flow>& flows,
        std::vector<emulator::Transfer> transfers, int check) {
  Run result{std::vector<Instant>(flows.size()), 0, 0, 0};
  const double begin = wall_seconds(), processor = processor_seconds();
  for (std::size_t next = 0;;) {
    const Instant start{next < flows.size() ? flows[next].start_picoseconds : 0};
    const auto end = next < flows.size() && start == Instant{} ? std::nullopt : network.next_end();
    if (next < flows.size() && (!end || start <= *end)) {
      network.start(std::move(transfers[next++]), start);
      continue;
    }
    if (!end) break;
    for (const emulator::TransferId id : network.advance_to(*end)) {
      result.end[id.index] = *end;
      network.forget(id);
    }
    if (++result.events, check > 0 && result.events % check == 0)
      if (const std::string violation = network.violation(); !violation.empty()) {
        std::fprintf(stderr, "certificate: %s\n", violation.c_str());
        std::exit(1);
      }
  }
  result.seconds = wall_seconds() - begin;
  result.processor = processor_seconds() - processor;
  return result;
}

int measure(const Options& options) {
  const double begin = wall_seconds();
  const auto cluster = topology::load_cluster(options.cluster);
  if (!cluster) {
    std::fprintf(stderr, "%s: not a cluster file\n", options.cluster);
    return 2;
  }
  const auto flows =
      bench::traffic_named(options.traffic, cluster->accelerators(), options.flows, options.seed);
  const topology::Router router(*cluster);
  std::vector<emulator::Transfer> transfers;
  for (const bench::Flow& flow : flows)
    transfers.push_back(
        {router.between({flow.source}, {flow.target}).links, static_cast<double>(flow.bytes)});
  const topology::Calibration none;
  emulator::Network network(cluster->graph, none, true);
  const double built = wall_seconds();
  const Run result = run(network, flows, std::move(transfers), options.check);
  Instant last;
  for (const Instant end : result.end) last = std::max(last, end);
  std::printf(
      "{\"flows\": %zu, \"build_s\": %.3f, \"run_s\": %.4f, \"cpu_s\": %.4f, \"makespan_s\": %.9f, "
      "\"events\": %lld, \"solves\": %lld, \"peak_mib\": %.0f}\n",
      flows.size(), built - begin, result.seconds, result.processor,
      in_seconds({last.picoseconds}).value, static_cast<long long>(result.events),
      static_cast<long long>(network.solves()), static_cast<double>(used().ru_maxrss) / 1024);
  if (options.ends == nullptr) return 0;
  std::FILE* file = std::fopen(options.ends, "w");
  if (file == nullptr) return std::perror(options.ends), 1;
  for (const Instant end : result.end)
    std::fprintf(file, "%.15g\n", in_seconds({end.picoseconds}).value);
  return std::fclose(file);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr,
                 "usage: flows CLUSTER permutations|staggered FLOWS SEED [--check N]"
                 " [--ends FILE]\n");
    return 2;
  }
  Options options{argv[1], argv[2], nullptr, std::atoi(argv[3]), 0, std::strtoull(argv[4], {}, 10)};
  for (int i = 5; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--check") == 0) options.check = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--ends") == 0) options.ends = argv[i + 1];
  }
  return measure(options);
}
