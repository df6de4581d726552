#include "emulator/plan.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "collectives/ways.hpp"
#include "tests/emulator/lab.hpp"

using namespace railwright;
using namespace railwright::emulator;
using Json = nlohmann::ordered_json;

namespace {

Plan lab_plan(const char* degrees = "tp=2,pp=2,dp=4,zero_stage=1") {
  return must(make_plan(lab_cluster(4), lab_training(16), degrees_of(degrees),
                        topology::default_calibration()));
}

// The errors of a plan in which `change` was done.
template <class Change>
std::string errors_after(Change change) {
  Json json = Json::parse(to_json(lab_plan()));
  change(json);
  const auto read = parse_plan(json.dump(1), "plan.json");
  return read ? "" : to_string(read.error());
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a plan reads back as it was written") {
  Plan plan = lab_plan();
  CHECK(must(parse_plan(to_json(plan), "plan.json")) == plan);
  plan.prediction = {seconds(0.1), 0.4, 1234.5, gibibytes(7), {{"hbm", {70}}, {"launch", {30}}}};
  plan.faults_sha256 = sha256("faults");
  plan.placement.exceptions = {{0, 1}, {1, 0}};
  plan.schedules.push_back(
      {workload::Dimension::pp,
       workload::Operation::broadcast,
       bytes(7),
       bytes(9),
       {workload::Operation::broadcast, collectives::Algorithm::binomial_tree, 2, 1, 1, 1}});
  const Plan read = must(parse_plan(to_json(plan), "plan.json"));
  CHECK(read == plan);
  CHECK(to_json(read) == to_json(plan));
}

TEST_CASE("a plan written to disk is whole and leaves nothing beside it") {
  const auto folder = std::filesystem::temp_directory_path() / "railwright_plan_test";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "plan.json").string();
  const Plan plan = lab_plan();
  REQUIRE(save_plan(plan, path));
  CHECK(must(load_plan(path)) == plan);
  CHECK(std::distance(std::filesystem::directory_iterator(folder), {}) == 1);
  CHECK_FALSE(save_plan(plan, (folder / "missing" / "plan.json").string()));
  std::filesystem::remove_all(folder);
}

TEST_CASE("a plan goes where a symbolic link points to, and into a device, replacing neither") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / "railwright_plan_link_test";
  fs::create_directories(folder);
  const Plan plan = lab_plan();
  REQUIRE(save_plan(plan, (folder / "real.json").string()));
  fs::create_symlink("real.json", folder / "link.json");
  REQUIRE(save_plan(plan, (folder / "link.json").string()));
  CHECK(fs::is_symlink(folder / "link.json"));
  CHECK(must(load_plan((folder / "real.json").string())) == plan);
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const int reader = open((folder / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
  CHECK(save_plan(plan, (folder / "pipe").string()));
  CHECK(fs::is_fifo(folder / "pipe"));
  close(reader);
  CHECK_FALSE(save_plan(plan, folder.string()));
  fs::remove_all(folder);
}

TEST_CASE("an error of a plan says what and where") {
  CHECK(has(errors_after([](Json& json) { json["colour"] = "red"; }), "colour"));
  CHECK(has(errors_after([](Json& json) { json["degrees"]["tpp"] = 1; }), "tpp"));
  CHECK(has(errors_after([](Json& json) { json.erase("placement"); }), "placement"));
  CHECK(has(errors_after([](Json& json) { json["schema_version"] = 99; }), "reads version 1"));
  CHECK(has(errors_after([](Json& json) { json["degrees"]["dp"] = 4096; }), "degrees"));
  CHECK(has(errors_after([](Json& json) { json["layers_per_stage"] = {8}; }), "pp is 2"));
  CHECK(has(errors_after([](Json& json) { json["placement"]["strides"][0] = 0; }),
            "two ranks are on accelerator 0"));
  CHECK(has(errors_after([](Json& json) { json["placement"]["strides"][4] = 100; }),
            "on accelerator 100 of 16"));
  CHECK(has(errors_after([](Json& json) { json["schedules"][0]["ranks"] = 3; }), "ranks"));
  CHECK(has(errors_after([](Json& json) {
              json["placement"]["exceptions"] = {{16, 3}};
            }),
            "rank 16 does not exist: the plan has 16"));
  CHECK(has(errors_after([](Json& json) {
              json["schedules"][0]["algorithm"] = "ring";
              json["schedules"][0]["channels"] = 1 << 20;
            }),
            "channels"));
  CHECK(has(
      errors_after([](Json& json) { json["training"]["sequence_tokens"] = std::int64_t{1} << 40; }),
      "sequence_tokens"));
  CHECK(has(to_string(parse_plan("{\"a\": ", "plan.json").error()), "plan.json:1"));
  CHECK(has(to_string(parse_plan("[1]", "plan.json").error()), "plan.json"));
}

TEST_CASE("keys of one's own are allowed") {
  CHECK(errors_after([](Json& json) { json["x-ticket"] = 17; }).empty());
}

TEST_CASE("a plan whose cluster or model was edited is refused, and says which") {
  const std::string cluster = errors_after([](Json& json) { json["cluster"]["name"] = "other"; });
  CHECK(has(cluster, "the cluster is not the one"));
  const std::string model = errors_after([](Json& json) {
    for (auto& [key, value] : json["model"].items())
      if (value == 4096) value = 4160;
  });
  CHECK(has(model, "the model is not the one"));
  CHECK(has(errors_after([](Json& json) { json["model_sha256"] = "0"; }), "model_sha256"));
}

TEST_CASE("a plan of a million ranks takes less than 100 kB and reads back") {
  Plan plan = lab_plan("tp=4,dp=4");
  plan.degrees.dp = 262'144;
  plan.training.global_batch = plan.degrees.dp;
  plan.cluster.nodes[0].count = 262'144;
  plan.cluster.networks[0].nodes_per_leaf = 32;
  plan.placement = identity_placement(plan.degrees);
  for (ScheduleChoice& choice : plan.schedules)
    choice.schedule = {choice.operation, collectives::Algorithm::ring,
                       degree_of(plan.degrees, choice.group)};
  const std::string text = to_json(plan);
  CHECK(text.size() <= 100'000);
  CHECK(must(parse_plan(text, "plan.json")) == plan);
}

TEST_CASE("a damaged plan is an error or another plan, never a crash") {
  const std::uint64_t seed = 7;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const std::string whole = to_json(lab_plan());
  for (int round = 0; round < 400; ++round) {
    std::string text = whole;
    for (std::uint64_t k = 0; k < 1 + random() % 4; ++k) {
      const std::size_t at = random() % text.size();
      const std::string piece = text.substr(random() % text.size(), random() % 20);
      random() % 2 == 0 ? text.replace(at, 1 + random() % 8, piece) : text.erase(at, random() % 40);
    }
    const Result<Plan> read = parse_plan(text, "plan.json");
    if (!read) CHECK_FALSE(read.error().empty());
  }
}

TEST_CASE("SHA-256 is the one of FIPS 180-4") {
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("identity placement puts rank r on accelerator r") {
  const auto degrees = degrees_of("tp=2,pp=2,dp=4");
  const auto placement = identity_placement(degrees);
  for (std::int64_t rank = 0; rank < degrees.world(); ++rank)
    CHECK(accelerator_of(rank, placement, degrees).index == rank);
}

TEST_CASE("strides and exceptions move ranks") {
  const auto degrees = degrees_of("tp=2,pp=2,dp=4");
  Placement placement = identity_placement(degrees);
  std::swap(placement.strides[0], placement.strides[4]);  // tp across, pp side by side
  CHECK(accelerator_of(1, placement, degrees).index == 8);
  CHECK(accelerator_of(8, placement, degrees).index == 1);
  placement.exceptions = {{1, 5}};
  CHECK(accelerator_of(1, placement, degrees).index == 5);
}

TEST_CASE("the groups of a dimension split the accelerators") {
  const Plan plan = lab_plan();
  for (const auto dimension :
       {workload::Dimension::tp, workload::Dimension::dp, workload::Dimension::pp}) {
    std::vector<int> seen(16, 0);
    for (std::int64_t rank = 0; rank < 16; ++rank) {
      const auto members = members_of(plan, dimension, rank);
      CHECK(static_cast<int>(members.size()) == degree_of(plan.degrees, dimension));
      CHECK(std::count(members.begin(), members.end(),
                       accelerator_of(rank, plan.placement, plan.degrees)) == 1);
      for (const auto member : members) ++seen[member.index];
    }
    for (const int times : seen) CHECK(times == degree_of(plan.degrees, dimension));
  }
}

TEST_CASE("size ranges of an operation follow one another from 0 without end") {
  const Plan plan = lab_plan();
  REQUIRE_FALSE(plan.schedules.empty());
  for (const ScheduleChoice& choice : plan.schedules) {
    CHECK(choice.schedule.ranks == degree_of(plan.degrees, choice.group));
    CHECK(why_not(choice.schedule).empty());
    for (const Bytes size : {choice.low, choice.high - bytes(1)})
      CHECK(schedule_of(plan, choice.group, choice.operation, size) == choice.schedule);
  }
  CHECK(schedule_of(plan, workload::Dimension::pp, workload::Operation::broadcast, bytes(1)) ==
        collectives::Schedule{workload::Operation::broadcast, collectives::Algorithm::ring, 2});
}

TEST_CASE("degrees that break a rule or need more accelerators make no plan") {
  const auto plan = [](const char* degrees) {
    return make_plan(lab_cluster(1), lab_training(16), degrees_of(degrees),
                     topology::default_calibration());
  };
  CHECK_FALSE(plan("tp=3"));
  const auto too_many = plan("dp=8");
  REQUIRE_FALSE(too_many);
  CHECK(has(to_string(too_many.error()), "needs 8 accelerators"));
}

// The first group sits on an H100 node whose switch adds; others straddle nodes or sit on A100.
TEST_CASE("every group of a plan can run the schedules of its kind") {
  for (const char* name : {"mixed-h100-a100", "dgx-h100-4"}) {
    const auto cluster = must(topology::load_cluster(name));
    workload::Training training;
    training.model = must(workload::load_model("llama-2-7b"));
    training.global_batch = 32;
    training.sequence = 1024;
    const int world = cluster.accelerators();
    for (const int tp : {1, 2, 4, 8, 16})
      for (const int pp : {1, 2, 4}) {
        workload::Degrees degrees;
        degrees.tp = tp;
        degrees.pp = pp;
        degrees.dp = world / tp / pp;
        degrees.zero_stage = degrees.dp > 1 ? 1 : 0;
        if (degrees.dp < 1 || !violations(training, degrees).empty()) continue;
        const Plan plan =
            must(make_plan(cluster, training, degrees, topology::default_calibration()));
        for (const ScheduleChoice& choice : plan.schedules)
          for (int rank = 0; rank < world; ++rank)
            CHECK(
                collectives::why_not(choice.schedule, members_of(plan, choice.group, rank), cluster)
                    .empty());
      }
  }
}
