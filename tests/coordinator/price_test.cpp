#include "coordinator/planner/price.hpp"

#include <catch2/catch.hpp>
#include <iostream>

#include "coordinator/coordinator.hpp"
#include "emulator/emulator.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using workload::Degrees;

namespace {

workload::Training training_of(const std::string& model, std::int64_t batch,
                               std::int64_t sequence) {
  workload::Training training;
  training.model = *workload::load_model(model);
  training.global_batch = batch;
  training.sequence = sequence;
  return training;
}

// Analytic step over emulated step.
double ratio_of(const topology::Cluster& cluster, const workload::Training& training,
                const std::string& degrees_text) {
  const Degrees degrees = *workload::parse_degrees(degrees_text);
  const auto& calibration = topology::default_calibration();
  StepPricer pricer(cluster, training, calibration);
  const Seconds analytic = pricer.price(degrees).step;
  const auto plan = emulator::make_plan(cluster, training, degrees, calibration);
  REQUIRE(plan.has_value());
  const auto emulated = emulator::emulate_step(cluster, *plan, calibration);
  REQUIRE(emulated.has_value());
  return analytic / in_seconds(emulated->step_time);
}

}  // namespace

TEST_CASE("the closed form agrees with emulation where groups do not share links") {
  const auto cluster = *topology::load_cluster("dgx-h100-4");
  const auto training = training_of("llama-3.1-8b", 64, 4096);
  for (const char* degrees : {
           "tp=1,pp=1,dp=32,micro_batch=1",
           "tp=1,pp=1,dp=32,micro_batch=2,zero_stage=1",
           "tp=2,pp=1,dp=16,micro_batch=1,zero_stage=1,sequence_parallel=true",
           "tp=4,pp=1,dp=8,micro_batch=2,zero_stage=1,sequence_parallel=true",
           "tp=8,pp=1,dp=4,micro_batch=1",
           "tp=8,pp=1,dp=4,micro_batch=4,zero_stage=1,sequence_parallel=true",
           "tp=1,pp=2,dp=16,micro_batch=1",
           "tp=1,pp=4,dp=8,micro_batch=1,zero_stage=1",
           "tp=2,pp=2,dp=8,micro_batch=1,recompute=full",
           "tp=2,pp=8,dp=2,micro_batch=1,sequence_parallel=true",
           "tp=4,pp=4,dp=2,micro_batch=2,recompute=full,zero_stage=1",
           "tp=8,pp=2,dp=2,micro_batch=1,sequence_parallel=true,zero_stage=1",
           "tp=8,pp=4,dp=1,micro_batch=1",
           "tp=1,pp=32,dp=1,micro_batch=1",
           "tp=1,pp=1,dp=32,micro_batch=1,zero_stage=2",
           "tp=1,pp=1,dp=32,micro_batch=2,zero_stage=3",
           "tp=1,pp=1,dp=32,micro_batch=1,zero_stage=3",
           "tp=2,pp=1,dp=16,micro_batch=1,zero_stage=3,sequence_parallel=true",
           "tp=8,pp=1,dp=4,micro_batch=1,zero_stage=3,sequence_parallel=true",
           "tp=1,pp=1,dp=32,micro_batch=1,zero_stage=3,shard=8",
           "tp=2,pp=2,dp=8,micro_batch=1,zero_stage=2,sequence_parallel=true",
           "tp=1,pp=4,dp=8,micro_batch=1,zero_stage=3",
           "tp=1,pp=1,cp=4,dp=8,micro_batch=1",
           "tp=2,pp=2,cp=2,dp=4,micro_batch=1,context=all_to_all,zero_stage=1",
       }) {
    const double ratio = ratio_of(cluster, training, degrees);
    std::cout << "analytic / emulated " << ratio << "  " << degrees << "\n";
    INFO(degrees);
    CHECK(ratio == Approx(1).margin(0.03));
  }
}

TEST_CASE("the closed form agrees with emulation on mixtures of experts") {
  const auto cluster = *topology::load_cluster("dgx-h100-4");
  const auto training = training_of("mixtral-8x7b", 64, 4096);
  for (const char* degrees :
       {"dp=32,ep=8,zero_stage=1", "tp=2,pp=2,dp=8,ep=8,sequence_parallel=true,zero_stage=1",
        "tp=4,dp=8,ep=8,etp=4,sequence_parallel=true", "pp=4,dp=8,ep=2,layers=9:8:8:7"}) {
    const double ratio = ratio_of(cluster, training, degrees);
    std::cout << "analytic / emulated " << ratio << "  " << degrees << "\n";
    INFO(degrees);
    CHECK(ratio == Approx(1).margin(0.05));
  }
}

// Under ZeRO-2 every micro-batch sends its gradients; where they take longer than the compute that
// they run beside, they lag behind, and each further micro-batch costs what its gradients take.
TEST_CASE("gradients that lag behind their micro-batches are priced once per micro-batch") {
  const auto cluster = *topology::load_cluster("dgx-h100-4");
  for (const std::int64_t batch : {4, 8, 32}) {
    const double ratio = ratio_of(cluster, training_of("mixtral-8x7b", batch, 1024),
                                  "tp=8,pp=1,dp=4,ep=8,micro_batch=1,zero_stage=2,"
                                  "sequence_parallel=true");
    std::cout << "analytic / emulated " << ratio << "  ZeRO-2, batch " << batch << "\n";
    CHECK(ratio == Approx(1).epsilon(0.05));
  }
}

TEST_CASE("the closed form agrees with emulation on tied embeddings and mixed accelerators") {
  CHECK(ratio_of(*topology::load_cluster("dgx-h100-4"), training_of("gpt2", 64, 1024),
                 "tp=1,pp=4,dp=8,micro_batch=1") == Approx(1).margin(0.05));
  const auto mixed = *topology::load_cluster("mixed-h100-a100");
  const int half = mixed.accelerators() / 2;
  CHECK(ratio_of(mixed, training_of("llama-3.1-8b", 64, 4096),
                 "tp=8,pp=2,dp=" + std::to_string(half / 8) + ",micro_batch=1") ==
        Approx(1).margin(0.05));
}

// Of four nodes the last has NVLink, or PCIe, of a tenth. Its tensor-parallel groups sit in one
// node as all others do; of the data-parallel ones each has a member in it.
TEST_CASE("of the groups of a kind the slowest is priced, wherever it is") {
  const auto equal = *topology::load_cluster("dgx-h100-4");
  const auto slowed = [&](bool inside) {
    topology::ClusterSpec spec = equal.spec;
    topology::NodeGroup slow = spec.nodes.front();
    const topology::ClassId usual = inside ? *slow.scale_up_class : slow.nic->pcie;
    topology::LinkClass slow_class = spec.link_classes[static_cast<std::size_t>(usual.index)];
    slow_class.name = "slow";
    slow_class.capacity = 0.1 * slow_class.capacity;
    const topology::ClassId made{static_cast<std::uint16_t>(spec.link_classes.size())};
    spec.link_classes.push_back(slow_class);
    (inside ? *slow.scale_up_class : slow.nic->pcie) = made;
    slow.name = "slow";
    slow.count = 1;
    spec.nodes.front().count = 3;
    spec.nodes.push_back(slow);
    auto cluster = topology::build_cluster(std::move(spec));
    if (!cluster) FAIL(to_string(cluster.error()));
    return std::move(*cluster);
  };
  const auto training = training_of("llama-3.1-8b", 64, 4096);
  const auto step = [&](const topology::Cluster& cluster, const char* degrees) {
    StepPricer pricer(cluster, training, topology::default_calibration());
    return pricer.price(*workload::parse_degrees(degrees)).step.value;
  };
  const auto inside = slowed(true), outside = slowed(false);
  for (const char* degrees : {"tp=8,pp=1,dp=4,sequence_parallel=true", "tp=8,pp=2,dp=2",
                              "tp=4,pp=1,dp=8,sequence_parallel=true"}) {
    INFO(degrees);
    CHECK(step(inside, degrees) > 1.5 * step(equal, degrees));
    // A plan has all groups use the schedule that is best for the first; here each has its own.
    CHECK(ratio_of(inside, training, degrees) == Approx(1).margin(0.08));
  }
  for (const char* degrees : {"tp=8,pp=1,dp=4", "dp=32"}) {
    INFO(degrees);
    CHECK(step(outside, degrees) > 1.05 * step(equal, degrees));
  }
}

TEST_CASE("blame of a price adds up to the step and names only causes of the contract") {
  const auto cluster = *topology::load_cluster("dgx-h100-4");
  const auto training = training_of("llama-3.1-8b", 64, 4096);
  StepPricer pricer(cluster, training, topology::default_calibration());
  for (const char* text :
       {"tp=2,pp=4,dp=4", "tp=8,pp=1,dp=4,sequence_parallel=true", "tp=1,pp=8,dp=4,zero_stage=1"}) {
    const StepPrice price = pricer.price(*workload::parse_degrees(text));
    Picoseconds sum;
    for (const auto& entry : blame_of(price, cluster.graph)) {
      sum += entry.time;
      CHECK(entry.time.count > 0);
      CHECK(entry.cause != "other");
    }
    CHECK(sum == ceil_picoseconds(price.step));
    CHECK(price.causes.total() == Approx(price.step.value).epsilon(1e-6));
  }
}
