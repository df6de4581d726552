#include "worker/kernels/kernels.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "worker/element.hpp"

namespace railwright::worker {
namespace {

const DataType types[] = {DataType::float32, DataType::float16, DataType::bfloat16};
const KernelLevel levels[] = {KernelLevel::portable, KernelLevel::avx2, KernelLevel::avx512};

std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// Source by source in float, rounded once.
float expected(DataType type, const std::vector<std::vector<std::byte>>& sources,
               std::size_t offset) {
  float sum = load(type, sources[0].data() + offset);
  for (std::size_t s = 1; s < sources.size(); ++s) sum += load(type, sources[s].data() + offset);
  alignas(4) std::byte rounded[4];
  store(type, rounded, sum);
  return load(type, rounded);
}

TEST_CASE("every level adds any bit patterns to the same bits, for any length and alignment") {
  const std::uint64_t seed = 21;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (const DataType type : types)
    for (const std::size_t count : {1, 2, 3, 5, 8, 9}) {
      for (const std::size_t elements : {1, 7, 15, 16, 31, 32, 33, 64, 511, 1025}) {
        const std::size_t width = size_of(type), shift = random() % 3;
        std::vector<std::vector<std::byte>> sources;
        std::vector<const std::byte*> from;
        for (std::size_t s = 0; s < count; ++s)
          sources.push_back(random_bytes(random, shift + elements * width));
        for (const auto& source : sources) from.push_back(source.data() + shift);
        for (const KernelLevel level : levels) {
          if (!is_available(level)) continue;
          std::vector<std::byte> a(elements * width), b(elements * width + 1);
          std::byte* const into[] = {a.data(), b.data()};
          sum_into(type, from, into, a.size(), level);
          for (std::size_t i = 0; i < elements; ++i) {
            INFO(to_string(level) << " " << to_string(type) << " x " << elements << " of " << count
                                  << " at " << i);
            const float sum = load(type, a.data() + i * width);
            const float right = expected(type, sources, shift + i * width);
            REQUIRE((sum == right || (std::isnan(sum) && std::isnan(right))));
          }
          REQUIRE(std::equal(a.begin(), a.end(), b.begin()));
          REQUIRE(b.back() == std::byte{0});
        }
      }
    }
}

TEST_CASE("vectors may be added up in their own places") {
  for (const DataType type : types)
    for (const KernelLevel level : levels) {
      if (!is_available(level)) continue;
      for (const int count : {1, 2, 3, 8}) {
        constexpr std::size_t elements = 77;
        std::vector<std::vector<std::byte>> vectors(
            count, std::vector<std::byte>(elements * size_of(type)));
        std::vector<const std::byte*> from;
        std::vector<std::byte*> into;
        for (int v = 0; v < count; ++v) {
          for (std::size_t i = 0; i < elements; ++i)
            store(type, vectors[v].data() + i * size_of(type), static_cast<float>(v + i % 5));
          from.push_back(vectors[v].data());
          into.push_back(vectors[v].data());
        }
        sum_into(type, from, into, elements * size_of(type), level);
        for (int v = 0; v < count; ++v)
          for (std::size_t i = 0; i < elements; ++i)
            REQUIRE(load(type, vectors[v].data() + i * size_of(type)) ==
                    static_cast<float>(count * (count - 1) / 2 + count * (i % 5)));
      }
    }
}

TEST_CASE("there is always a level, and the best one is available") {
  CHECK(is_available(KernelLevel::portable));
  CHECK(is_available(best_level()));
}

}  // namespace
}  // namespace railwright::worker
