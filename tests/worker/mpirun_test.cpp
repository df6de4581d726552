// Real processes under a real mpirun: what the threads of worker_test cannot show.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "emulator/emulator.hpp"
#include "telemetry/telemetry.hpp"
#include "tests/worker/mpirun.hpp"

namespace railwright::worker {
namespace {

using Json = nlohmann::json;

emulator::Plan small_plan(const std::string& degrees) {
  const auto cluster = topology::load_cluster("localhost");
  REQUIRE(cluster);
  auto model = workload::load_model("tiny-gpt");
  REQUIRE(model);
  const workload::Training training{*model, 8, 32};
  auto plan = emulator::make_plan(*cluster, training, *workload::parse_degrees(degrees),
                                  topology::default_calibration());
  if (!plan) FAIL(to_string(plan.error()));
  const auto step = emulator::emulate_step(*cluster, *plan, topology::default_calibration());
  REQUIRE(step);
  plan->prediction = emulator::prediction_of(*step, *plan, *cluster);
  return *plan;
}

std::string saved(const Folder& folder, const emulator::Plan& plan) {
  const std::string path = folder.file("plan.json");
  REQUIRE(emulator::save_plan(plan, path));
  return path;
}

TEST_CASE("bench is right for every operation on one, two and four ranks", "[mpi]") {
  const Folder folder;
  for (const int ranks : {1, 2, 4})
    for (const char* op :
         {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all", "send"})
      for (const char* more : {"--compare mpi", "--backend mpi -d bfloat16"}) {
        const Ended ended =
            run(folder, ranks,
                fmt::format("bench -b 8 -e 64K -f 32 -n 3 -w 1 --op {} {} --json {}", op, more,
                            folder.file("bench.json")));
        INFO(ranks << " ranks " << op << " " << more << "\n" << ended.output << ended.errors);
        REQUIRE(ended.status == 0);
        CHECK(ended.output.find("# Out of bounds values : 0 OK") != std::string::npos);
        CHECK(ended.output.find("# Avg bus bandwidth    : ") != std::string::npos);
        const Json json = Json::parse(text_of(folder.file("bench.json")));
        REQUIRE(json["results"].size() == 3);
        for (const Json& result : json["results"]) {
          CHECK(result["wrong"] == 0);
          CHECK(result["time_s"] > 0);
          CHECK(result.contains("algbw"));
          CHECK(result.contains("busbw"));
          CHECK(result.contains("mpi_time_s") == (std::string(more) == "--compare mpi"));
        }
      }
}

TEST_CASE("bench takes nccl-tests' -m and -z: several calls per iteration, checked on their own",
          "[mpi]") {
  const Folder folder;
  for (const char* more : {"-m 4", "-m 4 -z 1", "-z 1"}) {
    const Ended ended = run(folder, 2,
                            fmt::format("bench -b 64K -e 64K -n 4 -w 1 {} --compare mpi --json {}",
                                        more, folder.file("bench.json")));
    INFO(more << "\n" << ended.output << ended.errors);
    REQUIRE(ended.status == 0);
    const Json json = Json::parse(text_of(folder.file("bench.json")));
    CHECK(json["aggregated"] == (std::string(more) == "-z 1" ? 1 : 4));
    CHECK(json["out_of_bounds"] == 0);
  }
  CHECK(run(folder, 1, "bench -e 8 -m 0").status == 2);
  CHECK(run(folder, 1, "bench -e 8 -z 2").status == 2);
}

TEST_CASE("bench takes every type and algorithm, and prints the expected time of a cluster",
          "[mpi]") {
  const Folder folder;
  for (const char* type : {"float", "half", "bfloat16"})
    for (const char* algorithm : {"ring", "tree", "halving_doubling", "hierarchical", "direct"}) {
      const Ended ended = run(folder, 4,
                              fmt::format("bench -b 4K -e 1M -f 16 -n 2 -w 0 -d {} --algorithm {} "
                                          "--cluster localhost --json {}",
                                          type, algorithm, folder.file("bench.json")));
      INFO(type << " " << algorithm << "\n" << ended.output << ended.errors);
      REQUIRE(ended.status == 0);
      const Json json = Json::parse(text_of(folder.file("bench.json")));
      for (const Json& result : json["results"]) CHECK(result["expected_s"] > 0);
    }
}

TEST_CASE("bench runs schedules that are synthesized for the cluster, with exact results",
          "[mpi]") {
  const Folder folder;
  for (const char* op : {"all_reduce", "reduce_scatter", "all_gather", "broadcast"}) {
    const Ended ended = run(folder, 4,
                            fmt::format("bench -b 4K -e 256K -f 8 -n 2 -w 0 --op {} --algorithm "
                                        "synthesized --cluster localhost --json {}",
                                        op, folder.file("bench.json")));
    INFO(op << "\n" << ended.output << ended.errors);
    REQUIRE(ended.status == 0);
    const Json json = Json::parse(text_of(folder.file("bench.json")));
    REQUIRE(json["results"].size() == 3);
    for (const Json& result : json["results"]) {
      CHECK(result["algorithm"] == "synthesized");
      CHECK(result["wrong"] == 0);
    }
  }
}

TEST_CASE("a plan runs on every backend with exact results, and the report has its keys", "[mpi]") {
  const Folder folder;
  for (const char* degrees : {"tp=1,dp=1,micro_batch=1", "tp=1,dp=2,micro_batch=1",
                              "tp=2,dp=2,micro_batch=1,sequence_parallel=true,zero_stage=1",
                              "pp=2,dp=2,micro_batch=1", "pp=4,dp=1,micro_batch=1"}) {
    const emulator::Plan plan = small_plan(degrees);
    const std::string path = saved(folder, plan);
    const int ranks = static_cast<int>(plan.degrees.world());
    for (const char* backend : {"p2p", "mpi", "shm", "hierarchical", "emulated"}) {
      const Ended ended = run(folder, ranks,
                              fmt::format("run --plan {} --backend {} --steps 2 --json {}", path,
                                          backend, folder.file("run.json")));
      INFO(degrees << " " << backend << "\n" << ended.output << ended.errors);
      REQUIRE(ended.status == 0);
      const Json json = Json::parse(text_of(folder.file("run.json")));
      for (const char* key : {"steps", "measured", "predicted", "ratio", "slow_links", "slow_ranks",
                              "verification", "oversubscribed"})
        CHECK(json.contains(key));
      CHECK(json["backend"] == backend);
      CHECK((json["schedule"] == "opaque") == (std::string(backend) == "mpi"));
      CHECK(json["steps"].size() == 2);
      CHECK(json["verification"]["wrong"] == 0);
      CHECK(json["measured"]["step_time_s"] > 0);
      if (std::string(backend) != "emulated" && ranks > 1)
        CHECK(json["verification"]["checked"] > 0);
      if (std::string(backend) == "emulated")
        CHECK(json["measured"]["step_time_s"] == plan.prediction.step_time.value);
    }
  }
}

TEST_CASE("another number of ranks than the plan's is refused with the right one", "[mpi]") {
  const Folder folder;
  const std::string path = saved(folder, small_plan("tp=2,dp=2,micro_batch=1"));
  const Ended ended = run(folder, 2, "run --plan " + path + " --json " + folder.file("run.json"));
  CHECK(ended.status == 2);
  CHECK(ended.errors.find("the plan needs 4 ranks, mpirun started 2; use mpirun -n 4") !=
        std::string::npos);
  CHECK_FALSE(fs::exists(folder.file("run.json")));
}

TEST_CASE("a plan along the axes of a torus is emulated, and not started in another order",
          "[mpi]") {
  const Folder folder;
  emulator::Plan plan = small_plan("dp=2,micro_batch=1");
  plan.placement.axes = {{2, 1}};
  const std::string path = saved(folder, plan);
  const Ended real = run(folder, 2, "run --plan " + path + " --steps 1");
  CHECK(real.status == 2);
  CHECK(real.errors.find("along the axes of a torus, which no launcher does") != std::string::npos);
  CHECK(run(folder, 2, "run --plan " + path + " --steps 1 --backend emulated").status == 0);
}

TEST_CASE("a missing or broken plan and wrong options end with status 2", "[mpi]") {
  const Folder folder;
  std::ofstream(folder.file("broken.json")) << "{\"schema_version\": 1, ";
  for (const std::string& arguments :
       {"run --plan " + folder.file("none.json"), "run --plan " + folder.file("broken.json"),
        std::string("run"), std::string("walk"), std::string("bench --op sum"),
        std::string("bench -b 2M -e 1M"), std::string("bench -b 8 -e 64 -d double"),
        std::string("bench --algorithm tree --op all_gather -e 8"),
        std::string("bench --backend mpi --compare mpi")}) {
    const Ended ended = run(folder, 2, arguments);
    INFO(arguments << "\n" << ended.errors);
    CHECK(ended.status == 2);
    CHECK_FALSE(ended.errors.empty());
  }
}

TEST_CASE("times that are no times, unknown commands and files that cannot be written are refused",
          "[mpi]") {
  const Folder folder;
  const std::string plan = saved(folder, small_plan("tp=1,dp=1,micro_batch=1"));
  const auto refuses = [&](const std::string& arguments, const std::string& words) {
    const Ended ended = run(folder, 1, arguments);
    INFO(arguments << "\n" << ended.output << ended.errors);
    CHECK(ended.status == 2);
    CHECK(ended.output.empty());
    CHECK(ended.errors.find("error: ") != std::string::npos);
    CHECK(ended.errors.find(words) != std::string::npos);
  };
  for (const std::string time : {"nan", "inf", "0", "-1", "1e300", "soon"}) {
    const std::string words = "'" + time + "' is no number of seconds above 0 and at most 1e9";
    refuses("bench -e 8 -n 1 --timeout " + time, words);
    refuses("run --timeout " + time + " --plan " + plan, words);
  }
  refuses("run --metrics-linger nan --plan " + plan, "'nan' is no number of seconds from 0");
  refuses("run --speed inf --plan " + plan, "'inf' is no pace");
  refuses("frob", "unknown command 'frob'; write one of run, bench, probe, kernels");
  refuses("", "no command; write one of run, bench, probe, kernels");
  for (const char* backend : {"p2p", "emulated"})
    for (const char* option : {"--metrics-textfile", "--json"})
      refuses(fmt::format("run --plan {} --backend {} {} /no/such/folder/x", plan, backend, option),
              "/no/such/folder: No such file or directory");
  refuses("bench -e 8 -n 1 --json /no/such/folder/x", "/no/such/folder: No such file or directory");
}

TEST_CASE("a plan for other hosts is refused by their names", "[mpi]") {
  const Folder folder;
  emulator::Plan plan = small_plan("tp=1,dp=2,micro_batch=1");
  plan.cluster.nodes[0].hosts = {"no-such-machine"};
  const Ended ended = run(folder, 2, "run --plan " + saved(folder, plan));
  INFO(ended.errors);
  CHECK(ended.status == 2);
  CHECK(ended.errors.find("rank 0 runs on '") != std::string::npos);
  CHECK(ended.errors.find("the plan puts it on 'no-such-machine'") != std::string::npos);
}

TEST_CASE("a busy metrics port ends every rank with status 2", "[mpi]") {
  const Folder folder;
  const auto busy = telemetry::Exporter::listen("127.0.0.1:0");
  REQUIRE(busy);
  const std::string path = saved(folder, small_plan("tp=1,dp=2,micro_batch=1"));
  const Ended ended =
      run(folder, 2, fmt::format("run --plan {} --metrics 127.0.0.1:{}", path, (*busy)->port()));
  CHECK(ended.status == 2);
  CHECK(ended.errors.find("is in use; choose another port") != std::string::npos);
}

TEST_CASE("the textfile holds the run's metrics, attributed to links", "[mpi]") {
  const Folder folder;
  const std::string path = saved(folder, small_plan("tp=1,dp=2,micro_batch=1"));
  const std::string metrics = folder.file("metrics.prom");
  const Ended ended = run(folder, 2,
                          fmt::format("run --plan {} --steps 6 --metrics-textfile {} --json {}",
                                      path, metrics, folder.file("run.json")));
  INFO(ended.errors);
  REQUIRE(ended.status == 0);
  const std::string text = text_of(metrics);
  INFO(text);
  const Json report = Json::parse(text_of(folder.file("run.json")));
  const std::string ratio = "\nrailwright_prediction_ratio ";
  REQUIRE(text.find(ratio) != std::string::npos);
  CHECK(std::stod(text.substr(text.find(ratio) + ratio.size())) ==
        Approx(report["ratio"]["step_time_s"].get<double>()).epsilon(1e-6));
  const std::string wait = "railwright_link_wait_seconds_total{";
  CHECK(text.find(wait) != std::string::npos);
  CHECK(text.find("link=\"") != std::string::npos);
  for (const char* line :
       {"\nrailwright_steps_total 6\n", "railwright_mode_info{mode=\"hierarchical\"} 1",
        "railwright_workers{state=\"done\"} 2", "railwright_workers{state=\"lost\"} 0",
        "cluster_name=\"localhost\"", "source=\"attributed\"",
        "railwright_rank_wait_seconds_total{rank=\"1\"}", "railwright_prediction_ratio "})
    CHECK(("\n" + text).find(line) != std::string::npos);
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 5);  // nothing half-written
}

TEST_CASE("the edge that is throttled is measured at its rate, the others far above", "[mpi]") {
  const Folder folder;
  const std::string path = saved(folder, small_plan("tp=1,dp=4,micro_batch=1"));
  const Ended ended = run(folder, 4,
                          fmt::format("run --plan {} --backend p2p --steps 3 --throttle 0:1=1MB/s "
                                      "--metrics-textfile {} --json {}",
                                      path, folder.file("metrics.prom"), folder.file("run.json")));
  INFO(ended.output << ended.errors);
  REQUIRE(ended.status == 0);
  const Json report = Json::parse(text_of(folder.file("run.json")));
  REQUIRE(report["edges"].size() >= 3);
  for (const Json& edge : report["edges"]) {
    INFO(edge.dump());
    CHECK(edge["source"] == "measured");
    const double bandwidth = edge["bandwidth_bytes_per_s"];
    // Crowded cores make an edge slower than it is, never faster.
    if (edge["ranks"] == Json({0, 1}) || edge["ranks"] == Json({1, 0}))
      CHECK((bandwidth > 0.2e6 && bandwidth < 1.25e6));
    else
      CHECK(bandwidth > 1.25e6);
  }
  const std::string text = text_of(folder.file("metrics.prom"));
  INFO(text);
  CHECK(text.find("railwright_link_busy_seconds_total{class=\"edge\",source=\"measured\","
                  "link=\"rank0-rank1\"}") != std::string::npos);
}

TEST_CASE("kernels writes a calibration that is taken as one", "[mpi]") {
  const Folder folder;
  const Ended ended = run(folder, 2,
                          fmt::format("kernels --device cpu --largest 32M -o {} --json {}",
                                      folder.file("calibration.json"), folder.file("k.json")));
  INFO(ended.output << ended.errors);
  REQUIRE(ended.status == 0);
  const auto calibration = topology::parse_calibration(text_of(folder.file("calibration.json")),
                                                       folder.file("calibration.json"));
  REQUIRE(calibration);
  for (const char* parameter :
       {"gemm_efficiency", "gemm_half_depth", "hbm_efficiency", "hbm_half_size"}) {
    INFO(parameter);
    REQUIRE(calibration->find("cpu-core", parameter) != nullptr);
  }
  const Json json = Json::parse(text_of(folder.file("k.json")));
  CHECK(json["products"].size() == 6);
  CHECK(json["copies"].size() == 13);
  for (const Json& product : json["products"]) CHECK(product["flops_per_s"] > 1e8);
  CHECK(json["entries"].size() == calibration->entries.size());
  const Ended unknown = run(folder, 1, "kernels --accelerator abacus");
  CHECK(unknown.status == 2);
  CHECK(unknown.errors.find("--accelerator 'abacus' is not in the catalogue") != std::string::npos);
}

TEST_CASE("a throttled edge is among the slow links, with what is usual and its link", "[mpi]") {
  const Folder folder;
  const std::string path = saved(folder, small_plan("tp=1,dp=4,micro_batch=1"));
  const Ended ended = run(folder, 4,
                          fmt::format("run --plan {} --backend p2p --steps 3 --throttle 0:1=1MB/s "
                                      "--json {}",
                                      path, folder.file("run.json")),
                          fmt::format("{} -x LD_PRELOAD={}", in_memory, MANY_CORES));
  INFO(ended.output << ended.errors);
  REQUIRE(ended.status == 0);
  const Json report = Json::parse(text_of(folder.file("run.json")));
  REQUIRE_FALSE(report["oversubscribed"].get<bool>());
  const Json& slow = report["slow_links"];
  const auto throttled = std::ranges::find_if(slow, [](const Json& link) {
    return link["ranks"] == Json({0, 1}) || link["ranks"] == Json({1, 0});
  });
  INFO(slow.dump(2));
  REQUIRE(throttled != slow.end());
  CHECK((*throttled)["bandwidth_bytes_per_s"].get<double>() < 1.25e6);
  CHECK((*throttled)["time_s"].get<double>() > 2 * (*throttled)["usual_s"].get<double>());
  // The other edges of both ranks are in order, so no link of theirs is at fault.
  CHECK((*throttled)["links"].empty());
  CHECK(ended.output.find("link between ranks [") != std::string::npos);
  CHECK(ended.output.find("GB/s, usual are ") != std::string::npos);
}

TEST_CASE("survivors name a rank that was killed", "[mpi]") {
  const Folder folder;
  const std::string path = saved(folder, small_plan("tp=2,dp=2,micro_batch=1"));
  Started started(folder, 4,
                  "run --plan " + path + " --steps 100000 --metrics 127.0.0.1:0 --timeout 30");
  REQUIRE(started.says("metrics: http://127.0.0.1:"));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const std::vector<pid_t> workers = started.workers();
  REQUIRE(workers.size() == 4);
  kill(workers[2], SIGKILL);
  const Ended ended = started.wait();
  INFO(ended.errors);
  CHECK(ended.status != 0);
  CHECK(ended.errors.find("rank 2 on ") != std::string::npos);
  CHECK(ended.errors.find(" lost\n") != std::string::npos);
}

// Rank 1 reads its plan from a pipe that nobody writes to: it hangs before anything is set up.
TEST_CASE("a rank that never comes to the setup is named by those that wait for it", "[mpi]") {
  const Folder folder;
  const std::string path = saved(folder, small_plan("tp=1,dp=4,micro_batch=1"));
  const std::string pipe = folder.file("pipe");
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  const std::string worker = fmt::format("{}/bin/railwright-worker", RAILWRIGHT_BINARY_DIR);
  const auto own = [&](const std::string& plan) {
    return fmt::format("run --plan {} --timeout 1", plan);
  };
  const auto start = std::chrono::steady_clock::now();
  Started started(
      folder, 1,
      fmt::format("{} : -n 1 {} {} : -n 2 {} {}", own(path), worker, own(pipe), worker, own(path)));
  const bool named = started.says("rank 1 on ");
  for (const pid_t worker_process : started.workers()) kill(worker_process, SIGKILL);
  const Ended ended = started.wait();
  INFO(ended.errors);
  CHECK(named);
  CHECK(ended.errors.find("lost: no answer for 10 s") != std::string::npos);
  CHECK(ended.errors.find("rank 0 on") == std::string::npos);
  CHECK(ended.errors.find("rank 2 on") == std::string::npos);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(60));
}

TEST_CASE("a rank that hangs is lost after the timeout", "[mpi]") {
  const Folder folder;
  const std::string path = saved(folder, small_plan("tp=1,dp=2,micro_batch=1"));
  Started started(folder, 2,
                  "run --plan " + path + " --steps 100000 --metrics 127.0.0.1:0 --timeout 1");
  REQUIRE(started.says("metrics: http://127.0.0.1:"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // it is among the steps by now
  const std::vector<pid_t> workers = started.workers();
  REQUIRE(workers.size() == 2);
  kill(workers[1], SIGSTOP);
  CHECK(started.says("rank 1 on "));
  kill(workers[1], SIGKILL);  // stopped processes do not heed SIGTERM
  const Ended ended = started.wait();
  INFO(ended.errors);
  CHECK(ended.status == 4);
  CHECK(ended.errors.find("lost: no answer for 1 s") != std::string::npos);
}

}  // namespace
}  // namespace railwright::worker
