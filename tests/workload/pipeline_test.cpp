#include "workload/pipeline.hpp"

#include <map>
#include <set>

#include "samples.hpp"

using namespace railwright;
using namespace railwright::workload;

namespace {

struct Shape {
  Degrees degrees;
  int micro_batches = 1;
};

// Every schedule over stages, chunks and micro-batches, also fewer micro-batches than stages.
std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (const int p : {1, 2, 3, 4, 5, 8})
    for (const int m : {1, 2, 3, 4, 7, 8, 16, 24}) {
      Shape shape;
      shape.degrees.pp = p;
      shape.micro_batches = m;
      all.push_back(shape);
      shape.degrees.schedule = PipelineSchedule::zero_bubble_h1;
      all.push_back(shape);
      shape.degrees.schedule = PipelineSchedule::one_forward_one_backward;
      for (const int v : {2, 3, 4}) {
        shape.degrees.vpp = v;
        if (p > 1 && m % p == 0) all.push_back(shape);
      }
    }
  return all;
}

std::string name_of(const Shape& shape) {
  return to_string(shape.degrees) + " micro-batches " + std::to_string(shape.micro_batches);
}

bool splits_weights(const Shape& shape) {
  return shape.degrees.schedule == PipelineSchedule::zero_bubble_h1;
}

}  // namespace

TEST_CASE("every micro-batch passes every chunk of a stage once in each direction") {
  for (const Shape& shape : shapes())
    for (int stage = 0; stage < shape.degrees.pp; ++stage) {
      INFO(name_of(shape) << " stage " << stage);
      std::set<std::tuple<PassKind, int, int>> seen;
      const auto order = pipeline_order(shape.degrees, shape.micro_batches, stage);
      for (const Pass& pass : order) {
        CHECK(seen.insert({pass.kind, pass.micro_batch, pass.chunk}).second);
        CHECK(pass.chunk < shape.degrees.vpp);
        const auto went = [&](PassKind kind) {
          return seen.contains({kind, pass.micro_batch, pass.chunk});
        };
        if (pass.kind == PassKind::backward) CHECK(went(PassKind::forward));
        if (pass.kind == PassKind::weight) CHECK(went(PassKind::backward));
      }
      const int kinds = splits_weights(shape) ? 3 : 2;
      CHECK(static_cast<int>(order.size()) == kinds * shape.micro_batches * shape.degrees.vpp);
    }
}

TEST_CASE("a stage holds as many passes as its schedule publishes") {
  for (const Shape& shape : shapes())
    for (int stage = 0; stage < shape.degrees.pp; ++stage) {
      const PassKind release = splits_weights(shape) ? PassKind::weight : PassKind::backward;
      std::int64_t held = 0, most = 0;
      for (const Pass& pass : pipeline_order(shape.degrees, shape.micro_batches, stage)) {
        if (pass.kind == PassKind::forward) most = std::max(most, ++held);
        if (pass.kind == release) --held;
      }
      INFO(name_of(shape) << " stage " << stage);
      CHECK(held == 0);
      CHECK(most == passes_in_flight(shape.degrees, shape.micro_batches, stage));
    }
}

TEST_CASE("what stage 0 holds in units of p micro-batches is the published factor") {
  Degrees degrees;
  degrees.pp = 8;
  degrees.vpp = 4;
  // Interleaved: p (1 + (p - 1) / (p v)) micro-batches, each of v chunks: 8 (1 + 7 / 32) = 9.75.
  CHECK(passes_in_flight(degrees, 64, 0) == 39);
  degrees.vpp = 1;
  CHECK(passes_in_flight(degrees, 64, 0) == 8);
  degrees.schedule = PipelineSchedule::zero_bubble_h1;
  for (int stage = 0; stage < 8; ++stage) CHECK(passes_in_flight(degrees, 64, stage) == 8);
}

TEST_CASE("neighbours pass micro-batches on in one order") {
  // Messages between two stages in one direction are matched in the order of the programs.
  for (const Shape& shape : shapes()) {
    const int p = shape.degrees.pp;
    for (int stage = 0; stage < p && p > 1; ++stage) {
      std::vector<std::pair<int, int>> sent, received;  // micro-batch, place in the whole pipeline
      for (const Pass& pass : pipeline_order(shape.degrees, shape.micro_batches, stage))
        if (pass.kind == PassKind::forward && pass.chunk * p + stage + 1 < p * shape.degrees.vpp)
          sent.emplace_back(pass.micro_batch, pass.chunk * p + stage + 1);
      const int next = (stage + 1) % p;
      for (const Pass& pass : pipeline_order(shape.degrees, shape.micro_batches, next))
        if (pass.kind == PassKind::forward && pass.chunk * p + next > 0)
          received.emplace_back(pass.micro_batch, pass.chunk * p + next);
      INFO(name_of(shape) << " stage " << stage);
      CHECK(sent == received);
    }
  }
}
