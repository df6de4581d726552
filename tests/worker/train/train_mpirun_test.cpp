// `railwright-worker run --workload train` under a real mpirun.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "emulator/emulator.hpp"
#include "worker/train/manifest.hpp"

namespace railwright::worker::train {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("railwright_train_mpi_{}", getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return path / name; }
};

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Ended {
  int status = -1;
  std::string output, errors;
};

Ended run(const Folder& folder, const emulator::Plan& plan, const std::string& arguments,
          const std::string& launcher_options = {}) {
  REQUIRE(emulator::save_plan(plan, folder.file("plan.json")));
  const std::string command = fmt::format(
      "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ASAN_OPTIONS=detect_leaks=0 "
      "mpirun --oversubscribe --bind-to none --mca btl self,vader "
      "--mca btl_vader_single_copy_mechanism none {} -n {} {}/bin/railwright-worker run --workload "
      "train --plan {} --json {} {} >{} 2>{} </dev/null",
      launcher_options, plan.degrees.world(), RAILWRIGHT_BINARY_DIR, folder.file("plan.json"),
      folder.file("run.json"), arguments, folder.file("stdout"), folder.file("stderr"));
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128, text_of(folder.file("stdout")),
          text_of(folder.file("stderr"))};
}

emulator::Plan plan_for(const std::string& degrees, std::int64_t batch = 4) {
  const auto cluster = *topology::load_cluster("localhost");
  const auto model = *workload::load_model("byte-gpt");
  auto plan = emulator::make_plan(cluster, {model, batch, 32}, *workload::parse_degrees(degrees),
                                  topology::default_calibration());
  if (!plan) FAIL(to_string(plan.error()));
  const auto step = emulator::emulate_step(cluster, *plan, topology::default_calibration());
  REQUIRE(step);
  plan->prediction = emulator::prediction_of(*step, *plan, cluster);
  return *plan;
}

const std::string text = "--text " RAILWRIGHT_SOURCE_DIR "/examples/text/signal-box.txt ";

std::vector<double> losses(const Folder& folder) {
  std::vector<double> found;
  const Json report = Json::parse(text_of(folder.file("run.json")));
  for (const Json& step : report["steps"]) found.push_back(step["loss"]);
  return found;
}

TEST_CASE("four processes learn what one does, whatever the split and the backend", "[mpi]") {
  const Folder folder;
  const Ended alone = run(folder, plan_for("tp=1,micro_batch=1"), text + "--steps 8");
  INFO(alone.output << alone.errors);
  REQUIRE(alone.status == 0);
  const std::vector<double> one = losses(folder);
  REQUIRE(one.size() == 8);
  CHECK(one.back() < one.front());
  for (const char* degrees :
       {"tp=2,pp=2,micro_batch=1", "tp=2,dp=2,micro_batch=1,zero_stage=1",
        "pp=2,dp=2,micro_batch=1", "tp=4,micro_batch=1,sequence_parallel=true"})
    for (const char* backend : {"p2p", "mpi"}) {
      const Ended ended = run(folder, plan_for(degrees), text + "--steps 8 --backend " + backend);
      INFO(degrees << " " << backend << "\n" << ended.output << ended.errors);
      REQUIRE(ended.status == 0);
      const std::vector<double> four = losses(folder);
      REQUIRE(four.size() == 8);
      for (std::size_t i = 0; i < 8; ++i) CHECK(four[i] == Approx(one[i]).epsilon(1e-4));
      const Json report = Json::parse(text_of(folder.file("run.json")));
      CHECK(report["workload"] == "train");
      CHECK(report["backend"] == backend);
      CHECK(report["measured"]["step_time_s"] > 0);
      CHECK(report["predicted"]["step_time_s"] > 0);
      CHECK(report["ratio"]["step_time_s"] > 0);
      CHECK(report["steps"][7]["step"] == 8);
      CHECK(report["steps"][7]["time_s"] > 0);
    }
}

TEST_CASE("an edge that is slow while a training runs is measured and among the slow links",
          "[mpi]") {
  const Folder folder;
  const Ended ended = run(folder, plan_for("dp=4,micro_batch=1"),
                          text + "--steps 3 --throttle 0:1=5MB/s --report-every 0.001",
                          "-x LD_PRELOAD=" MANY_CORES);
  INFO(ended.output << ended.errors);
  REQUIRE(ended.status == 0);
  const Json report = Json::parse(text_of(folder.file("run.json")));
  REQUIRE_FALSE(report["oversubscribed"].get<bool>());
  REQUIRE(report["edges"].size() >= 4);
  CHECK(report["measured"]["rank_wait_s"].size() == 4);
  CHECK(report["slow_ranks"].is_array());
  const Json *slowest = nullptr, *slow = nullptr;
  for (const Json& edge : report["edges"])
    if (slowest == nullptr || edge["bandwidth_bytes_per_s"] < (*slowest)["bandwidth_bytes_per_s"])
      slowest = &edge;
  const auto is_throttled = [](const Json& edge) {
    return edge["ranks"] == Json({0, 1}) || edge["ranks"] == Json({1, 0});
  };
  CHECK(is_throttled(*slowest));
  CHECK((*slowest)["bandwidth_bytes_per_s"] < 6e6);
  CHECK((*slowest)["source"] == "measured");
  for (const Json& edge : report["slow_links"])
    if (is_throttled(edge)) slow = &edge;
  REQUIRE(slow != nullptr);
  CHECK((*slow)["usual_bytes_per_s"].get<double>() > 12e6);
  CHECK(ended.output.find("slow: a shared-memory link between ranks [") != std::string::npos);
}

TEST_CASE("four data-parallel processes in rank order have the bits of one", "[mpi]") {
  const Folder folder;
  REQUIRE(run(folder, plan_for("tp=1,micro_batch=1"), text + "--steps 5").status == 0);
  const std::vector<double> one = losses(folder);
  for (const char* degrees : {"dp=4,micro_batch=1", "dp=4,micro_batch=1,zero_stage=1"}) {
    const Ended ended = run(folder, plan_for(degrees), text + "--steps 5 --deterministic-order");
    INFO(ended.errors);
    REQUIRE(ended.status == 0);
    CHECK(losses(folder) == one);
  }
}

TEST_CASE("four processes stop, three go on from the checkpoint with the batch of the four",
          "[mpi]") {
  const Folder folder;
  const std::string checkpoint = "--checkpoint " + folder.file("kept") + " ";
  REQUIRE(run(folder, plan_for("tp=1,micro_batch=1"), text + "--steps 8").status == 0);
  const std::vector<double> whole = losses(folder);
  const Ended first = run(folder, plan_for("dp=4,micro_batch=1,zero_stage=1"),
                          text + checkpoint + "--steps 5 --checkpoint-every 2");
  INFO(first.errors);
  REQUIRE(first.status == 0);
  for (const std::int64_t step : {2, 4, 5})
    CHECK(fs::exists(folder.file("kept") + "/" + manifest_name(step)));
  const Ended rest = run(folder, plan_for("dp=3,micro_batch=1,zero_stage=1", 3),
                         text + checkpoint + "--steps 3 --resume");
  INFO(rest.errors);
  REQUIRE(rest.status == 0);
  CHECK(rest.errors.find("resumed after step 5, 4 sequences per step") != std::string::npos);
  const std::vector<double> after = losses(folder);
  REQUIRE(after.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(after[i] == Approx(whole[5 + i]).epsilon(1e-5));
  for (const auto& entry : fs::directory_iterator(folder.file("kept")))
    if (entry.path().extension() == ".bin") fs::resize_file(entry.path(), 100);
  const Ended cut =
      run(folder, plan_for("dp=2,micro_batch=1"), text + checkpoint + "--steps 1 --resume");
  CHECK(cut.status == 2);
  CHECK(cut.errors.find("has 100 bytes instead of ") != std::string::npos);
}

TEST_CASE("what training needs and lacks is said before anything runs", "[mpi]") {
  const Folder folder;
  const auto refuses = [&](const emulator::Plan& plan, const std::string& arguments,
                           const std::string& words) {
    const Ended ended = run(folder, plan, arguments);
    INFO(arguments << "\n" << ended.errors);
    CHECK(ended.status == 2);
    CHECK(ended.errors.find(words) != std::string::npos);
    CHECK_FALSE(fs::exists(folder.file("run.json")));
  };
  const auto plan = plan_for("dp=2,micro_batch=1");
  refuses(plan, "--steps 1", "give --text FILE");
  refuses(plan, "--steps 1 --text /no/such/file", "/no/such/file: error: cannot be read");
  refuses(plan, text + "--backend emulated", "computes nothing that could be learned");
  refuses(plan, text + "--backend shm", "take --backend p2p, mpi or nccl");
  setenv("RAILWRIGHT_CUDART_LIBRARY", "/no/such/libcudart.so", 1);
  refuses(plan, text + "--backend nccl", "backend nccl: ");
  unsetenv("RAILWRIGHT_CUDART_LIBRARY");
  refuses(plan, text + "--resume", "--resume without a folder");
  refuses(plan, text + "--resume --checkpoint " + folder.file("none"), "holds no checkpoint");
  refuses(plan, text + "--checkpoint /etc/passwd", "cannot become one: Not a directory");
  refuses(plan, text + "--checkpoint /proc/none", "/proc/none: error: is no folder");
  refuses(plan, text + "--global-batch 1", "leaves some of 2 data-parallel ranks without any");
  refuses(plan_for("cp=2,micro_batch=1"), text, "does not do context parallelism");
}

}  // namespace
}  // namespace railwright::worker::train
