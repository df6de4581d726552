#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "tests/worker/train/lab.hpp"
#include "worker/train/random.hpp"

namespace railwright::worker::train {
namespace {

// One micro-batch of one rank: the loss as a function of the weights.
class Probe {
 public:
  explicit Probe(const emulator::Plan& plan)
      : world_(1),
        transport_(world_.transport(0)),
        backend_(make_p2p_backend(*transport_)),
        exchange_(plan, *transport_, *backend_, seconds(1)),
        stage_(plan, 3, exchange_, cpu_products<float>()) {
    const std::int64_t sequence = plan.training.sequence;
    for (int sample = 0; sample < plan.degrees.micro_batch; ++sample) {
      const auto tokens = lab_text().sample(1, 0, sample, sequence);
      inputs_.insert(inputs_.end(), tokens.begin(), tokens.end() - 1);
      targets_.insert(targets_.end(), tokens.begin() + 1, tokens.end());
    }
  }
  Parameters& parameters() { return stage_.parameters(); }
  double loss() {
    MicroBatch micro_batch{inputs_, targets_, {}, {}, {}, {}, {}, {}};
    return stage_.loss(stage_.forward(stage_.embed(micro_batch), micro_batch), micro_batch);
  }
  void fill_gradients() {
    MicroBatch micro_batch{inputs_, targets_, {}, {}, {}, {}, {}, {}};
    stage_.loss(stage_.forward(stage_.embed(micro_batch), micro_batch), micro_batch);
    std::ranges::fill(parameters().gradients(), 0.0f);
    stage_.embed_backward(stage_.backward(stage_.loss_backward(micro_batch, 1), micro_batch),
                          micro_batch);
  }

 private:
  ThreadWorld world_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Backend> backend_;
  Exchange exchange_;
  Stage stage_;
  std::vector<int> inputs_, targets_;
};

// Along its own gradient g the loss of one tensor rises by |g|^2 per unit. Steps that change the
// loss by about 0.02 keep float's rounding and the curvature below some parts in a thousand.
TEST_CASE("the gradient of every tensor of a whole model is that of differences") {
  for (const char* json : {gpt_json, llama_json})
    for (const char* more : {"", ",recompute=full"}) {
      const auto plan = train_plan(json, std::string("tp=1,micro_batch=2") + more);
      Probe probe(plan);
      // Larger weights than at the beginning: then no gradient is lost in the rounding.
      for (float& value : probe.parameters().values()) value *= value == 1 ? 1 : 4;
      probe.fill_gradients();
      const std::vector<float> values = probe.parameters().values();
      for (std::size_t i = 0; i < probe.parameters().all().size(); ++i) {
        const View gradient = probe.parameters().gradient(static_cast<int>(i));
        const double squared = gradient.cast<double>().squaredNorm();
        INFO(json << " " << probe.parameters().all()[i].name << " |g| " << std::sqrt(squared));
        // The bias of all keys shifts every score of a query alike: softmax does not see it.
        if (probe.parameters().all()[i].name.ends_with("key.bias")) {
          CHECK(squared < 1e-8);
          continue;
        }
        REQUIRE(squared > 0);
        const auto step = static_cast<float>(0.02 / squared);
        View weights = probe.parameters().value(static_cast<int>(i));
        weights += step * gradient;
        const double above = probe.loss();
        weights -= 2 * step * gradient;
        const double below = probe.loss();
        probe.parameters().values() = values;
        CHECK((above - below) / (2.0 * step) == Approx(squared).epsilon(0.01));
      }
    }
}

TEST_CASE("training on one rank lowers the loss far below that of equal words") {
  Settings settings;
  settings.adam.learning_rate = 1e-2;
  for (const char* json : {gpt_json, llama_json}) {
    const Trained trained = train_for(train_plan(json, "tp=1"), settings, 60);
    CHECK(trained.losses.front() == Approx(std::log(256.0)).epsilon(0.05));
    CHECK(trained.losses.back() < 0.6 * trained.losses.front());
  }
}

TEST_CASE("the same seed gives the same bits, another seed another curve") {
  const auto plan = train_plan(gpt_json, "tp=1");
  const Trained a = train_for(plan, {}, 3), b = train_for(plan, {}, 3);
  CHECK(a.losses == b.losses);
  CHECK(a.weights == b.weights);
  Settings other;
  other.seed = 2;
  CHECK(train_for(plan, other, 3).losses != a.losses);
}

TEST_CASE("every split of a training has the curve and the weights of one rank") {
  for (const char* json : {gpt_json, llama_json}) {
    const Trained one = train_for(train_plan(json, "tp=1,micro_batch=2"), {}, 5);
    for (const char* degrees :
         {"tp=2,micro_batch=2", "tp=2,micro_batch=2,sequence_parallel=true", "pp=2,micro_batch=2",
          "pp=4,micro_batch=1", "dp=2,micro_batch=2", "dp=2,micro_batch=2,zero_stage=1",
          "dp=4,micro_batch=1,zero_stage=1", "pp=2,dp=2,micro_batch=1,recompute=full",
          "tp=2,pp=2,dp=2,micro_batch=2",
          "tp=2,pp=2,dp=2,micro_batch=1,sequence_parallel=true,zero_stage=1"}) {
      const Trained many = train_for(train_plan(json, degrees), {}, 5);
      INFO(json << " " << degrees);
      REQUIRE(many.losses.size() == 5);
      for (std::size_t i = 0; i < 5; ++i)
        CHECK(many.losses[i] == Approx(one.losses[i]).epsilon(1e-5));
      // Adam divides by the size of the gradient: where that is rounding noise alone, a weight may
      // move either way by the learning rate.
      CHECK(difference(many.weights, one.weights) < 5 * 2 * 1e-3);
      CHECK(many.largest_copy_difference == 0);
    }
  }
}

std::size_t different_values(const Tensors& a, const Tensors& b) {
  std::size_t count = 0;
  for (const auto& [name, values] : a)
    for (std::size_t i = 0; i < values.size(); ++i)
      count += std::abs(values[i] - b.at(name)[i]) > 1e-5;
  return count;
}

TEST_CASE("weights of tensor-parallel ranks are within rounding but for a few") {
  const Trained one = train_for(train_plan(gpt_json, "tp=1,micro_batch=2"), {}, 5);
  std::size_t all = 0;
  for (const auto& [name, values] : one.weights) all += values.size();
  const Trained many = train_for(train_plan(gpt_json, "tp=2,pp=2,dp=2,micro_batch=2"), {}, 5);
  CHECK(different_values(one.weights, many.weights) < all / 100);
}

TEST_CASE("with a micro-batch per rank, added in their order, the bits are those of one rank") {
  Settings ordered;
  ordered.in_order = true;
  for (const char* json : {gpt_json, llama_json}) {
    const Trained one = train_for(train_plan(json, "tp=1,micro_batch=2"), {}, 6);
    for (const char* degrees :
         {"dp=4,micro_batch=2", "dp=4,micro_batch=2,zero_stage=1", "pp=2,dp=4,micro_batch=2",
          "pp=2,dp=4,micro_batch=2,zero_stage=1"}) {
      const Trained many = train_for(train_plan(json, degrees), ordered, 6);
      INFO(json << " " << degrees);
      CHECK(many.losses == one.losses);
      CHECK(difference(many.weights, one.weights) == 0);
    }
  }
}

TEST_CASE("stages without a shared table have the bits of one rank with any batch") {
  const Trained one = train_for(train_plan(llama_json, "tp=1,micro_batch=1"), {}, 4);
  const Trained many = train_for(train_plan(llama_json, "pp=4,micro_batch=1"), {}, 4);
  CHECK(many.losses == one.losses);
  CHECK(difference(many.weights, one.weights) == 0);
}

TEST_CASE("a batch that the ranks do not divide is kept, some have a micro-batch more") {
  Settings settings;
  settings.global_batch = 8;
  settings.in_order = true;
  const Trained one = train_for(train_plan(gpt_json, "tp=1,micro_batch=1"), settings, 4);
  for (const char* degrees : {"dp=3,micro_batch=1", "dp=3,micro_batch=1,zero_stage=1"}) {
    const Trained three = train_for(train_plan(gpt_json, degrees, 9), settings, 4);
    for (std::size_t i = 0; i < 4; ++i)
      CHECK(three.losses[i] == Approx(one.losses[i]).epsilon(1e-5));
  }
}

TEST_CASE("schedules of training leave the same bits everywhere") {
  using collectives::Algorithm;
  using collectives::Schedule;
  auto plan = train_plan(gpt_json, "dp=4,micro_batch=1");
  const auto spread_of = [&](const Schedule& schedule) {
    std::vector<std::vector<float>> results(4);
    on_ranks(4, [&](Transport& transport) {
      std::vector<float> values(1001);
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = uniform(key_of(transport.rank(), "x"), i, 1);
      make_p2p_backend(transport)->execute(schedule, everybody(4, transport.rank()),
                                           std::as_writable_bytes(std::span(values)),
                                           Reducer(DataType::float32, ReduceOp::sum), within(20));
      results[static_cast<std::size_t>(transport.rank())] = values;
    });
    return std::ranges::count(results, results[0]) != 4;
  };
  for (int i = 0; i < collectives::algorithm_count; ++i) {
    const Schedule planned{workload::Operation::all_reduce, static_cast<Algorithm>(i), 4};
    if (!collectives::why_not(planned).empty()) continue;
    plan.schedules = {{Dimension::dp, workload::Operation::all_reduce, Bytes{0},
                       emulator::no_upper_size, planned}};
    const Schedule used =
        training_schedule(plan, Dimension::dp, workload::Operation::all_reduce, {4004}, false);
    INFO(to_string(planned.algorithm) << " runs as " << to_string(used.algorithm));
    CHECK_FALSE(spread_of(used));
    const bool kept = used == planned;
    CHECK(kept == why_p2p_cannot(planned).empty());
  }
}

TEST_CASE("what cannot be trained is refused by name") {
  const auto refusal = [](const char* json, const char* degrees, std::int64_t batch = 8,
                          std::int64_t given = 8) {
    return to_string(why_not_trained(train_plan(json, degrees, batch), given, "plan.json"));
  };
  CHECK(refusal(gpt_json, "dp=2").empty());
  CHECK(refusal(gpt_json, "cp=2").find("context parallelism (cp=2)") != std::string::npos);
  CHECK(refusal(gpt_json, "pp=2,vpp=2").find("interleaved stages") != std::string::npos);
  CHECK(refusal(gpt_json, "pp=2,schedule=zb-h1").find("zb-h1") != std::string::npos);
  CHECK(refusal(gpt_json, "dp=2,zero_stage=3").find("zero_stage=3") != std::string::npos);
  CHECK(refusal(gpt_json, "dp=4", 8, 3).find("leaves some of 4 data-parallel ranks") !=
        std::string::npos);
  CHECK(refusal(gpt_json, "micro_batch=2", 8, 7).find("no whole number of micro-batches") !=
        std::string::npos);
  const char* dropping = R"({"model_type": "gpt2", "n_embd": 16, "n_head": 4, "n_layer": 4,
    "n_positions": 12, "vocab_size": 256})";
  CHECK(refusal(dropping, "tp=1").find("dropout") != std::string::npos);
  const char* other = R"({"model_type": "bloom", "n_embed": 16, "hidden_size": 16, "n_head": 4,
    "n_layer": 4, "vocab_size": 64})";
  const std::string all = refusal(other, "tp=1");
  CHECK(all.find("type 'bloom'") != std::string::npos);
  CHECK(all.find("a vocabulary of 64") != std::string::npos);
}

TEST_CASE("a rank that does not come is named, not waited for") {
  const auto plan = train_plan(gpt_json, "dp=2,micro_batch=1");
  std::atomic<int> named = 0;
  on_ranks(2, [&](Transport& transport) {
    if (transport.rank() == 1) return;
    const auto backend = make_p2p_backend(transport);
    Exchange exchange(plan, transport, *backend, seconds(0.05));
    Trainer trainer(plan, {}, lab_text(), exchange, cpu_products<float>());
    try {
      trainer.step();
    } catch (const PeerLost& lost) {
      named += lost.result.state == WaitState::timeout && lost.result.peer == 1;
    }
  });
  CHECK(named == 1);
}

TEST_CASE("who comes late waits least") {
  const auto plan = train_plan(gpt_json, "dp=3,micro_batch=1", 9);
  std::array<double, 3> waited{};
  on_ranks(3, [&](Transport& transport) {
    const auto backend = make_p2p_backend(transport);
    Exchange exchange(plan, transport, *backend, seconds(20));
    std::vector<float> values(300, 1);
    for (int round = 0; round < 3; ++round) {
      if (transport.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(60));
      exchange.all_reduce(Dimension::dp, values);
    }
    waited[static_cast<std::size_t>(transport.rank())] = exchange.waited().value;
  });
  for (const int punctual : {0, 2}) {
    CHECK(waited[punctual] > 0.12);
    CHECK(waited[punctual] > waited[1] + 0.06);
  }
}

TEST_CASE("slow work beside is no silence, a rank that stands still is") {
  const auto plan = train_plan(gpt_json, "dp=3,micro_batch=1", 9);
  for (const bool stands_still : {false, true}) {
    std::atomic<int> done = 0, lost = 0, early = 0, told = 0;
    on_ranks(3, [&](Transport& transport) {
      if (stands_still && transport.rank() == 2) return;
      const auto backend = make_p2p_backend(transport);
      Exchange exchange(plan, transport, *backend, seconds(1));
      const int slow = transport.rank() == 1 ? 2500 : 0;
      // Who waits for a slow disk of its own says before that whom it has lost.
      exchange.when_lost([&](const PeerLost&) { told += slow == 0 || done < 2; });
      try {
        exchange.work_together([&] {
          std::this_thread::sleep_for(std::chrono::milliseconds(slow));
          ++done;
        });
        early += done < 3;
      } catch (const PeerLost&) {
        ++lost;
      }
    });
    CHECK(done == (stands_still ? 2 : 3));
    CHECK(lost == (stands_still ? 2 : 0));
    CHECK(told == lost);
    CHECK(early == 0);
  }
}

TEST_CASE("weights that are no numbers end the training on every rank") {
  const Trained trained = train_with(train_plan(gpt_json, "dp=2,micro_batch=1"), {},
                                     [](Trainer& trainer, std::vector<double>& losses) {
                                       if (trainer.stage().shape().first)
                                         trainer.stage().parameters().values()[5] = NAN;
                                       losses.push_back(trainer.step());
                                     });
  REQUIRE(trained.losses.size() == 1);
  CHECK_FALSE(std::isfinite(trained.losses[0]));
}

}  // namespace
}  // namespace railwright::worker::train
