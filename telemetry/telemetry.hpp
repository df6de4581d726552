// Telemetry: what a run looks like to Prometheus. Below both worker and coordinator.
//
// A run keeps a Snapshot of values; each scrape renders the latest one into fresh metric families
// (nothing is mutated while it is read). Names, labels and units: docs/metrics.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "topology/result.hpp"
#include "topology/units.hpp"

namespace railwright::telemetry {

// Cumulative bucket counts are made at exposition; `counts[i]` counts values <= bounds[i], the last
// one those beyond all bounds.
struct Histogram {
  std::vector<double> bounds;  // seconds, ascending
  std::vector<std::uint64_t> counts;
  double sum = 0;
  // A factor-2 grid around the expected value, 12 buckets.
  static Histogram around(Seconds expected);
  void observe(Seconds value, std::int64_t times = 1);
};

struct LinkSample {
  std::string link;  // name of one link, or "" for the whole class
  std::string link_class;
  std::string source;  // "emulated", "measured" (hardware counters), "attributed"
  double transmit_bytes = 0, receive_bytes = 0;
  double capacity_bytes_per_second = 0;
  double busy_seconds = 0, wait_seconds = 0;
};

struct CollectiveSample {
  std::string operation, algorithm, group;
  Histogram duration;
  double expected_seconds = 0;  // of one call, predicted
  double bytes_total = 0;
  double bound_seconds = 0;  // of one call: no schedule takes less; 0 = not known
};

struct Snapshot {
  std::string mode;                         // "emulated", "mpi", "p2p"
  std::map<std::string, std::string> plan;  // labels of railwright_plan_info: tp, pp, dp, ...
  std::vector<LinkSample> links;
  Histogram step_duration;
  std::uint64_t steps = 0;
  std::map<std::string, double> blame_seconds;  // cause -> seconds in total
  std::vector<CollectiveSample> collectives;
  std::map<int, double> rank_wait_seconds;  // rank of this node -> seconds in total
  double hbm_used_bytes = 0, hbm_capacity_bytes = 0;
  double predicted_step_seconds = 0;
  double prediction_ratio = 0;         // measured / predicted; 0 = not known yet
  std::map<std::string, int> workers;  // state -> count
  double virtual_time_seconds = 0;     // emulated only
  std::string job_state;               // "running", "completed", "failed"; "" = not known
  double power_watts = 0;              // 0 = not known
  double last_heartbeat_seconds = 0;   // of the workers, as Unix time; 0 = not known
};

// The Prometheus text format, version 0.0.4.
std::string render(const Snapshot& snapshot);

// Serves GET /metrics, and at GET /sd where to scrape them: the target list of Prometheus' http_sd.
// Address "host:port"; port 0 takes a free one.
class Exporter {
 public:
  static Result<std::unique_ptr<Exporter>> listen(const std::string& address);
  ~Exporter();
  void publish(Snapshot snapshot);  // thread-safe; replaces what the next scrape sees
  int port() const;
  std::string text() const;  // what a scrape would return now

 private:
  struct State;
  explicit Exporter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace railwright::telemetry
