// `railwright-worker run`: executes a plan for real.
//
// Every rank walks the program of its stage. Compute is paced: an op ends when the roofline says.
// Collectives and sends move real data, in the order of the program, one after the other, while
// compute goes on beside them; before a collective its group meets (arrive), so that waiting for a
// late rank and moving data are told apart, as in the emulator. Each step starts behind a barrier.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "emulator/emulator.hpp"
#include "telemetry/telemetry.hpp"
#include "topology/routing.hpp"
#include "worker/engine.hpp"
#include "worker/train/options.hpp"
#include "worker/verify.hpp"
#include "worker/worker.hpp"
#include "worker/world.hpp"

namespace railwright::worker {

struct RunOptions {
  std::string plan_path;
  std::string backend = "auto";  // of engine_names(), or emulated
  int ranks_per_node = 0;        // so many neighbours count as a machine; 0: as they are
  std::vector<Throttle> throttles;
  std::string counters_root = "/sys";  // where the hardware's counters are
  std::string workload = "traffic";    // or train
  train::Options training;
  std::int64_t steps = 10;
  std::string metrics_address, metrics_textfile, json_path;
  Seconds report_every;  // the report so far goes to json_path; 0: only the last one
  Seconds linger;        // keep serving metrics for so long after the run
  Seconds timeout = seconds(60);
  double speed = 0;  // emulated: virtual seconds per second; 0 = as fast as it goes
};

// Collective; reports on stdout of rank 0. Returns the exit status.
int run_plan(const World& world, const RunOptions& options);

// ---- what is to be done ------------------------------------------------------------------------

// Bytes that this rank puts on a link, or takes from it, in one call.
struct LinkBytes {
  topology::LinkId link;
  double sent = 0, received = 0;
  bool limits = false;  // this rank sends over it, and it sets the pace of the collective
};

// Collectives of one rank that are alike.
struct Kind {
  Group group;
  collectives::Operation operation = collectives::Operation::all_reduce;
  Bytes size;                        // whole elements
  collectives::Schedule schedule;    // as executed
  collectives::Algorithm algorithm;  // as planned
  Seconds expected;                  // alone on idle links, with the default calibration
  Seconds bound;                     // what no schedule takes less than; 0: not known
  std::vector<LinkBytes> links;      // on the planned routes
  bool in_memory = false;            // executed in shared memory, whatever is planned
  std::string limiting_class;        // link class that sets the pace; "" when latency alone counts
};

// "ring" as planned, or "shared_memory".
std::string algorithm_name(const Kind& kind);

// One rank's part of a plan, ready to walk.
struct Part {
  emulator::Plan plan;
  std::shared_ptr<const topology::Cluster> cluster;
  workload::Program program;
  DataType type = DataType::float32;
  std::vector<Kind> kinds;
  std::vector<int> kind_of_op;      // index into kinds, -1: no collective
  std::vector<int> peer_of_op;      // send, receive: rank of the world; else -1
  std::vector<Seconds> time_of_op;  // compute: how long it is paced
  std::vector<LinkBytes> pipeline;  // of all sends and receives of a step
  std::vector<Prospect> prospects;  // every group of this rank that the plan has schedules for
};
// Fails where the plan cannot be executed by the options' backend, one of engine_names().
Result<Part> make_part(const emulator::Plan& plan, const World& world, const RunOptions& options);
// What the buffers of the largest collective and of the largest message need.
Bytes buffer_demand(const Part& part);

// Ranks of the plan and of the world, hosts of the plan and real ones: all mismatches at once.
Errors misplacement(const emulator::Plan& plan, const topology::Cluster& cluster,
                    const World& world, const std::string& plan_path);

// ---- what was seen -----------------------------------------------------------------------------

struct KindRecord {
  std::int64_t calls = 0;
  Seconds time, wait;
  telemetry::Histogram duration;
};

struct Record {
  std::vector<Seconds> steps;  // of the slowest rank, the same on every rank
  telemetry::Histogram step_duration;
  std::vector<KindRecord> kinds;  // as Part::kinds
  Seconds wait;                   // for peers, in collectives and receives
  std::uint64_t checked = 0, wrong = 0;
  std::vector<EdgeTotal> edges;  // into this rank, or written by it; as of measure_edges()
};

// Median of the steps after the first, which checks everything and touches fresh memory: that one
// counts only when it is alone. What the report and the metric prediction_ratio stand on.
Seconds typical_step(std::vector<Seconds> steps);

// Executes steps; a peer that does not come ends the run (give_up).
class Walker {
 public:
  Walker(const World& world, const Part& part, Engine& engine, Seconds timeout);
  ~Walker();
  void step();  // collective
  // Collective, between steps: brings what all ranks have timed together.
  void measure_edges();
  const Record& record() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// ---- what is told ------------------------------------------------------------------------------

// {"ranks": [source, target], "source": "measured", "messages", "bytes", "time_s"} of each edge.
nlohmann::ordered_json edges_of(const std::vector<EdgeTotal>& totals);
// What a rank has timed beside its steps.
struct Timed {
  std::vector<EdgeTotal> edges;
  Seconds wait;  // for peers
};
// Collective. Of what all ranks have timed the "edges", "slow_links", "judged_links" and
// "slow_ranks" of a report, and "rank_wait_s"; on rank 0, an empty object elsewhere.
nlohmann::ordered_json judged(const World& world, const emulator::Plan& plan,
                              const topology::Cluster& cluster, const Timed& timed,
                              const std::vector<Seconds>& steps);
// A line for each of "slow_ranks" and "slow_links".
std::string slow_text(const nlohmann::ordered_json& document);

// Collective. The document of --json on rank 0, empty elsewhere.
std::string report_json(const World& world, const Part& part, const Record& record,
                        const std::string& backend);
// For people, from that document.
std::string report_text(const std::string& json);

// The metrics of the ranks of one machine, held by its first rank.
class NodeMetrics {
 public:
  NodeMetrics(const World& world, const RunOptions& options, const std::string& mode);
  Errors listen();  // where an address was given
  bool wanted() const;
  // Collective over the machine.
  void publish(const Part& part, const Record& record, const std::string& state);
  void publish(telemetry::Snapshot snapshot);
  Errors write_textfile() const;
  std::string served_at() const;  // "127.0.0.1:9400", or empty

 private:
  const World& world_;
  const RunOptions& options_;
  std::string mode_;
  std::unique_ptr<telemetry::Exporter> exporter_;
  telemetry::Snapshot latest_;
};

// Labels of plan_info, memory and prediction: what a snapshot of any run of the plan starts from.
telemetry::Snapshot snapshot_of_plan(const emulator::Plan& plan, const topology::Cluster& cluster);

// `--backend emulated`: nothing is moved, the emulator's times are reported as they are.
int run_emulated(const World& world, const RunOptions& options, const emulator::Plan& plan,
                 const topology::Cluster& cluster, NodeMetrics& metrics);

}  // namespace railwright::worker
