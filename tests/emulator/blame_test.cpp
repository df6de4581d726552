#include "emulator/blame.hpp"

#include <catch2/catch.hpp>
#include <random>

using namespace railwright;
using namespace railwright::emulator;

TEST_CASE("a split gives away every picosecond, whatever the parts") {
  const std::uint64_t seed = 20;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::pair<std::string, Seconds>> parts;
    for (std::uint64_t i = 0; i < 1 + random() % 6; ++i)
      parts.push_back({std::string(1, static_cast<char>('a' + i)),
                       seconds(static_cast<double>(random() % 1000) * 1e-9)});
    const Picoseconds time{static_cast<std::int64_t>(random() >> (random() % 60 + 4))};
    BlameBuilder builder;
    builder.add_split(parts, time);
    CHECK(builder.total() == time);
  }
}

TEST_CASE("a split stays within one picosecond of the proportions") {
  BlameBuilder builder;
  builder.add_split({{"a", seconds(1)}, {"b", seconds(1)}, {"c", seconds(1)}}, {100});
  // 33 1/3 each; the one that is left goes to the first of equal remainders.
  CHECK(builder.build() == Blame{{"a", {34}}, {"b", {33}}, {"c", {33}}});
}

TEST_CASE("a part without time gets nothing") {
  BlameBuilder builder;
  builder.add_split({{"a", seconds(0)}, {"b", seconds(3)}}, {7});
  CHECK(builder.build() == Blame{{"b", {7}}});
}

TEST_CASE("blame is sorted by size, then name, without empty causes") {
  BlameBuilder builder;
  builder.add("z", {5});
  builder.add("b", {9});
  builder.add("a", {5});
  builder.add("nothing", {0});
  builder.add("z", {1});
  CHECK(builder.build() == Blame{{"b", {9}}, {"z", {6}}, {"a", {5}}});
}
