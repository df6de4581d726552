#include "worker/verify.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "worker/element.hpp"
#include "worker/worker.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;

const DataType types[] = {DataType::float32, DataType::float16, DataType::bfloat16};

// Adds in the type itself, rounding after every addition, in the given order.
float sum_in(DataType type, const ExactInputs& inputs, std::uint64_t element,
             const std::vector<int>& order) {
  std::byte total[4] = {}, part[4] = {};
  store(type, total, inputs.value(element, order.front()));
  const Reducer add(type, ReduceOp::sum);
  for (std::size_t i = 1; i < order.size(); ++i) {
    store(type, part, inputs.value(element, order[i]));
    add(std::span(total).first(size_of(type)),
        std::span<const std::byte>(part).first(size_of(type)));
  }
  return load(type, total);
}

TEST_CASE("the sum of exact inputs is the same in every order, and known beforehand") {
  const std::uint64_t seed = 3;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (const DataType type : types)
    for (const int ranks : {1, 2, 3, 8, 9, 64, 255, 256, 257, 1000}) {
      INFO(to_string(type) << " " << ranks << " ranks");
      const ExactInputs inputs(random(), ranks, type);
      std::vector<int> order(ranks);
      std::iota(order.begin(), order.end(), 0);
      for (std::uint64_t element = 0; element < 50; ++element) {
        for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
        REQUIRE(sum_in(type, inputs, element, order) == inputs.sum(element));
      }
    }
}

TEST_CASE("a contribution that is skipped or doubled shows in most elements") {
  for (const DataType type : types)
    for (const int ranks : {2, 5, 200}) {
      const ExactInputs inputs(17, ranks, type);
      for (int rank = 0; rank < ranks; rank += 1 + ranks / 3) {
        int shows = 0;
        for (std::uint64_t element = 0; element < 100; ++element)
          shows += inputs.value(element, rank) != 0;
        INFO(to_string(type) << " rank " << rank << " of " << ranks);
        CHECK(shows >= 95);
      }
    }
}

TEST_CASE("exchanging two ranks or two elements shows") {
  const ExactInputs inputs(5, 4, DataType::bfloat16);
  int ranks_differ = 0, elements_differ = 0, sums_differ = 0;
  for (std::uint64_t element = 0; element < 1000; ++element) {
    ranks_differ += inputs.value(element, 0) != inputs.value(element, 1);
    elements_differ += inputs.value(element, 0) != inputs.value(element + 1, 0);
    sums_differ += inputs.sum(element) != inputs.sum(element + 1);
  }
  CHECK(ranks_differ > 900);
  CHECK(elements_differ > 900);
  CHECK(sums_differ > 900);
}

TEST_CASE("one flipped element is counted, and so is one that was never written") {
  for (const DataType type : types) {
    const Schedule schedule{Operation::all_reduce, Algorithm::ring, 3};
    const ExactInputs inputs(9, 3, type);
    std::vector<std::byte> buffer(101 * size_of(type));
    for (std::uint64_t i = 0; i < 101; ++i)
      store(type, buffer.data() + i * size_of(type), inputs.sum(i));
    CHECK(count_wrong(schedule, 0, inputs, type, buffer) == 0);
    store(type, buffer.data() + 50 * size_of(type), inputs.sum(50) + 1);
    std::fill_n(buffer.begin() + 100 * size_of(type), size_of(type), std::byte{0xff});
    CHECK(count_wrong(schedule, 0, inputs, type, buffer) == 2);
    fill_inputs(schedule, 0, inputs, type, buffer);
    CHECK(count_wrong(schedule, 0, inputs, type, buffer) > 90);
  }
}

}  // namespace
}  // namespace railwright::worker
