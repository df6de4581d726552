#include "workload/degrees.hpp"

#include <algorithm>
#include <set>

#include "samples.hpp"

using namespace railwright;
using namespace railwright::workload;

namespace {

bool violates(const Training& training, const Degrees& degrees, const std::string& part) {
  const auto found = violations(training, degrees);
  return std::any_of(found.begin(), found.end(), [&](const std::string& violation) {
    return violation.find(part) != std::string::npos;
  });
}

Degrees degrees_of(const std::string& text) {
  const auto degrees = parse_degrees(text);
  INFO(text << (degrees ? "" : degrees.error().message));
  REQUIRE(degrees);
  return *degrees;
}

std::string error_of(const std::string& text) {
  const auto degrees = parse_degrees(text);
  return degrees ? "" : to_string(degrees.error());
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const Dimension dimensions[] = {Dimension::tp, Dimension::cp, Dimension::ep, Dimension::dp,
                                Dimension::pp};

std::vector<RankOrder> all_orders() {
  RankOrder order = {Dimension::tp, Dimension::cp, Dimension::ep, Dimension::dp, Dimension::pp};
  std::sort(order.begin(), order.end());
  std::vector<RankOrder> orders;
  do orders.push_back(order);
  while (std::next_permutation(order.begin(), order.end()));
  return orders;
}

int coordinate(const Coordinates& at, Dimension dimension) {
  switch (dimension) {
    case Dimension::tp:
      return at.tp;
    case Dimension::cp:
      return at.cp;
    case Dimension::dp:
      return at.dp;
    case Dimension::pp:
      return at.pp;
    default:
      return 0;
  }
}

}  // namespace

TEST_CASE("a rule that fails comes with the nearest values that satisfy it") {
  const Training training{ready("llama-3.1-8b"), 100, 8192};
  CHECK(violates(training, degrees_of("tp=7"),
                 "heads % tp: 32 is not divisible by 7; nearest that divide: 4 and 8"));
  CHECK(violates(training, degrees_of("tp=64"),
                 "heads % tp: 32 is not divisible by 64; nearest that divides: 32"));
  CHECK(violates(training, degrees_of("dp=16"),
                 "global_batch % (dp x micro_batch): 100 is not divisible by 16 x 1 = 16; nearest "
                 "batches: 96 and 112"));
  CHECK(violates(training, degrees_of("dp=64,micro_batch=2"), "nearest batches: 128"));
  for (int tp = 1; tp <= 40; ++tp) {  // what is named divides, and nothing between does
    Degrees degrees;
    degrees.tp = tp;
    for (const std::string& text : violations(training, degrees)) {
      INFO(text);
      if (!text.starts_with("heads")) continue;
      int below = 0, above = 0;
      const auto at = text.find(": ", text.find("nearest"));
      REQUIRE(at != std::string::npos);
      std::sscanf(text.c_str() + at, ": %d and %d", &below, &above);
      CHECK(32 % below == 0);
      for (int between = below + 1; between < (above > 0 ? above : tp); ++between)
        CHECK(32 % between != 0);
    }
  }
}

TEST_CASE("each rule of divisibility is named with its numbers") {
  const Training training{ready("llama-3.1-8b"), 128, 8192};
  CHECK(violations(training, degrees_of("tp=8,pp=4,dp=4,micro_batch=2")).empty());
  CHECK(violates(training, degrees_of("tp=3"), "heads % tp: 32 is not divisible by 3"));
  CHECK(violates(training, degrees_of("tp=16"), "kv_heads % tp: 8 is not divisible by 16"));
  CHECK(violates(training, degrees_of("pp=5"), "layers % pp: 32 layers do not split over 5"));
  CHECK(violates(training, degrees_of("vpp=2"), "with pp=1 write vpp=1"));
  CHECK(violates(training, degrees_of("pp=2,vpp=3"),
                 "layers % (pp x vpp): 32 is not divisible by 6"));
  CHECK(violates({training.model, 6, 8192}, degrees_of("pp=4,vpp=2"),
                 "micro-batches % pp (interleaved stages): 6 is not divisible by 4"));
  CHECK(violates(training, degrees_of("pp=64"), "32 layers are too few for 64 stages"));
  CHECK(violates(training, degrees_of("dp=3"), "128 is not divisible by 3 x 1 = 3"));
  CHECK(violates(training, degrees_of("dp=8,micro_batch=3"), "global_batch % (dp x micro_batch)"));
  CHECK(violates({training.model, 128, 1001}, degrees_of("tp=8,sequence_parallel=true"),
                 "sequence % tp (sequence_parallel): 1001 is not divisible by 8"));
  CHECK(violates({ready("gpt2"), 8, 2048}, degrees_of("dp=8"), "1024 learned positions"));
  CHECK(violates({training.model, 0, 8192}, {}, "global batch is 0"));
  Degrees odd;
  odd.tp = 0;
  odd.micro_batch = -1;
  CHECK(violations(training, odd).size() == 2);
}

TEST_CASE("what is not supported yet is refused in plain words") {
  const Training training{ready("llama-3.1-8b"), 128, 8192};
  CHECK(violates(training, degrees_of("pp=2,vpp=2,schedule=zb-h1"), "not supported: schedule"));
  CHECK(violates(training, degrees_of("schedule=zb-h1,recompute=full"), "with recompute=full"));
  CHECK(violates(training, degrees_of("pp=2,dp=2,zero_stage=3,schedule=zb-h1"), "zb-h1 with zero"));
  CHECK(violates(training, degrees_of("dp=4,shard=2"), "write zero_stage=1, 2 or 3"));
  CHECK(violates(training, degrees_of("dp=4,zero_stage=3,shard=3"), "dp x cp % shard: 4 is"));
  CHECK(violates(training, degrees_of("zero_stage=4"), "zero_stage is 4"));
  Degrees many;
  many.tp = many.pp = many.dp = many.cp = 1 << 30;
  CHECK(violates(training, many, "ranks; at most"));
}

TEST_CASE("degrees read back from their text") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200; ++i) {
    const Degrees degrees = random_setting(random).degrees;
    CHECK(degrees_of(to_string(degrees)) == degrees);
  }
  const Degrees degrees = degrees_of(" tp=8, pp = 16,dp=128,micro_batch=1,recompute=selective");
  CHECK(degrees.world() == 8 * 16 * 128);
  CHECK(degrees.recompute == Recompute::selective);
  CHECK(degrees_of("schedule=1f1b") == Degrees{});
  CHECK(degrees_of("schedule=zb-h1").schedule == PipelineSchedule::zero_bubble_h1);
  CHECK(says(error_of("schedule=gpipe"), "expected 1f1b or zb-h1"));
}

TEST_CASE("text that is no degrees is refused with its place and a hint") {
  CHECK(says(error_of("tp=8,tpp=2"), "did you mean"));
  CHECK(says(error_of("tp=8,tp=2"), "'tp' is given twice"));
  CHECK(parse_degrees("tp=8,tp=2").error().place.column == 6);
  CHECK(says(error_of("tp=0"), "whole number from 1"));
  CHECK(says(error_of("tp=-1"), "found '-1'"));
  CHECK(says(error_of("tp=8x"), "found '8x'"));
  CHECK(says(error_of("tp=99999999999999999999"), "whole number"));
  CHECK(says(error_of("tp"), "'tp' has no value"));
  CHECK(says(error_of(""), "has no value"));
  CHECK(says(error_of("tp=8,"), "has no value"));
  CHECK(says(error_of("sequence_parallel=1"), "expected true or false"));
  CHECK(says(error_of("recompute=some"), "none, selective or full"));
}

TEST_CASE("ranks and coordinates are a bijection in every order") {
  Degrees degrees;
  degrees.tp = 4, degrees.cp = 2, degrees.dp = 3, degrees.pp = 5;
  for (const RankOrder& order : all_orders()) {
    std::set<std::int64_t> seen;
    for (std::int64_t rank = 0; rank < degrees.world(); ++rank) {
      const Coordinates at = coordinates_of(rank, degrees, order);
      REQUIRE(rank_of(at, degrees, order) == rank);
      seen.insert(rank_of(at, degrees, order));
    }
    CHECK(static_cast<std::int64_t>(seen.size()) == degrees.world());
  }
}

TEST_CASE("a group holds the ranks that differ in one coordinate, a stride apart") {
  Degrees degrees;
  degrees.tp = 4, degrees.cp = 2, degrees.dp = 3, degrees.pp = 5;
  for (const RankOrder& order : all_orders())
    for (std::int64_t rank = 0; rank < degrees.world(); rank += 7)
      for (const Dimension dimension : dimensions) {
        const auto group = group_of(dimension, rank, degrees, order);
        REQUIRE(static_cast<int>(group.size()) == degree_of(degrees, dimension));
        REQUIRE(std::count(group.begin(), group.end(), rank) == 1);
        for (std::size_t i = 0; i < group.size(); ++i) {
          const Coordinates at = coordinates_of(group[i], degrees, order);
          REQUIRE(coordinate(at, dimension) == static_cast<int>(i));
          for (const Dimension other : dimensions)
            if (other != dimension)
              REQUIRE(coordinate(at, other) ==
                      coordinate(coordinates_of(rank, degrees, order), other));
          if (i > 0) REQUIRE(group[i] - group[i - 1] == stride_of(dimension, degrees, order));
        }
      }
}

TEST_CASE("by default tensor-parallel ranks are neighbours and stages lie furthest apart") {
  const Degrees degrees = degrees_of("tp=8,pp=16,dp=128");
  CHECK(stride_of(Dimension::tp, degrees) == 1);
  CHECK(stride_of(Dimension::dp, degrees) == 8);
  CHECK(stride_of(Dimension::pp, degrees) == 1024);
}
