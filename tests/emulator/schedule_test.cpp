// Pipeline schedules on equal stages with free messages against the textbook.
#include <set>

#include "emulator/step/run.hpp"
#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;
using workload::Op;
using workload::OpKind;
using workload::Program;

namespace {

// Only the layers are left: what stages do not share, and messages, cost nothing.
Program layers_alone(Program program) {
  const std::set<std::string> kept = {"layer forward", "layer backward", "layer weight gradient"};
  for (workload::Body& body : program.bodies)
    if (!kept.contains(body.name)) body.kernels.clear();
  for (Op& op : program.ops)
    if (op.kind != OpKind::compute) op.bytes = {};
  return program;
}

const Wires free_wires{gigabytes_per_second(1e12), gigabytes_per_second(1e12), seconds(0)};

topology::Calibration free_software() {
  topology::Calibration calibration = topology::default_calibration();
  for (auto& entry : calibration.entries)
    if (entry.parameter == "software_latency") entry.value = 0;
  return calibration;
}

struct Played {
  StepResult result;
  std::map<std::string, std::int64_t> pass;  // picoseconds of a pass over one chunk, by body
};

Played play(const std::string& degrees_text, int layers, int micro_batches) {
  const topology::Cluster cluster = lab_cluster(2, free_wires);
  const auto calibration = free_software();
  workload::Training training = lab_training(micro_batches);
  training.model.layers = layers;
  const auto degrees = degrees_of(degrees_text.c_str());
  const Plan plan = must(make_plan(cluster, training, degrees, calibration));
  Played played;
  std::vector<Program> programs;
  for (int stage = 0; stage < degrees.pp; ++stage)
    programs.push_back(layers_alone(stage_program(training, degrees, stage)));
  for (const workload::Body& body : programs.front().bodies) {
    const auto time = compute_time(body.kernels, cluster.spec.accelerator_kinds[0],
                                   training.precision, calibration);
    played.pass[body.name] =
        ceil_picoseconds(time.total()).count * (layers / degrees.pp / degrees.vpp);
  }
  played.result = must(run_programs(cluster, plan, std::move(programs), calibration, {}));
  return played;
}

void check(const Played& played, std::int64_t work, std::int64_t bubble) {
  CHECK(played.result.step_time.count == work + bubble);
  CHECK(time_of(played.result.blame, "pipeline_bubble").count == bubble);
  CHECK(sum_of(played.result.blame) == played.result.step_time);
}

}  // namespace

TEST_CASE("the programs of 1F1B have a bubble of (p - 1)(F + B), exactly") {
  for (const int p : {1, 2, 4, 8})
    for (const int m : {1, 3, 8, 16}) {
      INFO("p " << p << " m " << m);
      const Played played = play("pp=" + std::to_string(p), 8, m);
      const std::int64_t pass = played.pass.at("layer forward") + played.pass.at("layer backward");
      check(played, m * pass, (p - 1) * pass);
    }
}

TEST_CASE("interleaved stages have a bubble of (p - 1)(F + B) / v, exactly") {
  for (const int p : {2, 4, 8})
    for (const int v : {2, 3, 4})
      for (const int rounds : {1, 2, 5}) {
        const int m = rounds * p;
        INFO("p " << p << " v " << v << " m " << m);
        const Played played =
            play("pp=" + std::to_string(p) + ",vpp=" + std::to_string(v), 2 * p * v, m);
        // Of one chunk: a v-th of F + B.
        const std::int64_t pass =
            played.pass.at("layer forward") + played.pass.at("layer backward");
        check(played, std::int64_t{m} * v * pass, (p - 1) * pass);
      }
}

TEST_CASE("the zero-bubble schedule H1 has a bubble of (p - 1)(F + B - W), exactly") {
  for (const int p : {1, 2, 4, 8})
    for (const int m : {p, p + 1, 2 * p, 16}) {
      INFO("p " << p << " m " << m);
      const Played played = play("schedule=zb-h1,pp=" + std::to_string(p), 8, m);
      const std::int64_t f = played.pass.at("layer forward"), b = played.pass.at("layer backward"),
                         w = played.pass.at("layer weight gradient");
      REQUIRE(w <= b);  // else the weights alone hold the stages back
      check(played, m * (f + b + w), (p - 1) * (f + b - w));
    }
}

TEST_CASE("better schedules are faster on real links too") {
  const auto cluster = must(topology::load_cluster("dgx-h100-4"));
  workload::Training training = lab_training(16);
  const auto step = [&](const char* degrees) {
    const auto& calibration = topology::default_calibration();
    const Plan plan = must(make_plan(cluster, training, degrees_of(degrees), calibration));
    return must(emulate_step(cluster, plan, calibration)).step_time;
  };
  CHECK(step("tp=2,pp=4,vpp=2") < step("tp=2,pp=4"));
  CHECK(step("tp=2,pp=4,schedule=zb-h1") < step("tp=2,pp=4"));
}
