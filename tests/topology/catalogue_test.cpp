#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "topology/document.hpp"
#include "topology/files/csv.hpp"
#include "topology/files/parts.hpp"
#include "topology/topology.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

const AcceleratorKind& accelerator(const std::string& name) {
  for (const AcceleratorKind& kind : accelerator_catalogue())
    if (kind.name == name) return kind;
  FAIL("no accelerator " << name);
  std::abort();
}

const LinkClass& link_kind(const std::string& name) {
  for (const LinkClass& link : link_catalogue())
    if (link.name == name) return link;
  FAIL("no link kind " << name);
  std::abort();
}

std::vector<CsvRow> data_rows(const std::string& name) {
  const auto text = read_text_file(std::string(RAILWRIGHT_SOURCE_DIR) + "/data/" + name);
  REQUIRE(text);
  const auto rows = parse_csv(*text, name);
  REQUIRE(rows);
  return *rows;
}

}  // namespace

TEST_CASE("every row of the data files is a number where it should be and names its source") {
  for (const char* name : {"accelerators.csv", "links.csv"})
    for (const CsvRow& row : data_rows(name)) {
      INFO(name << ":" << row.line << " " << row.text("name"));
      CHECK(is_name(row.text("name")));
      CHECK(!row.text("source").empty());
      CHECK(!row.text("status").empty());
      for (const auto& [column, cell] : row.cells) {
        const bool words = column == "name" || column == "title" || column == "vendor" ||
                           column == "medium" || column == "source" || column == "status" ||
                           column == "notes" || column == "block_formats";
        bool bad = false;
        if (!words) row.number(column, &bad);
        INFO(column << " = " << cell);
        CHECK_FALSE(bad);
      }
    }
}

TEST_CASE("every accelerator can compute, remembers and has a name of its own") {
  std::set<std::string> names;
  for (const AcceleratorKind& kind : accelerator_catalogue()) {
    INFO(kind.name);
    CHECK(names.insert(kind.name).second);
    CHECK(!kind.peak.empty());
    for (const auto& [precision, rate] : kind.peak) CHECK(rate.per_second > 1e9);
    CHECK(kind.memory.count >= 1'000'000'000);
    CHECK(kind.memory_bandwidth.bytes_per_second > 1e9);
    CHECK(kind.power.value >= 0);
  }
}

TEST_CASE("block formats have the rate of their width, on parts that scale blocks alone") {
  const auto kind = [](std::string_view name) {
    const auto& all = accelerator_catalogue();
    return *std::find_if(all.begin(), all.end(), [&](const auto& k) { return k.name == name; });
  };
  for (const AcceleratorKind& each : accelerator_catalogue()) {
    INFO(each.name);
    if (each.peak.contains(Precision::mxfp8))
      CHECK(each.peak.at(Precision::mxfp8) == each.peak.at(Precision::fp8));
    if (each.peak.contains(Precision::nvfp4))
      CHECK(each.peak.at(Precision::nvfp4) == each.peak.at(Precision::fp4));
  }
  CHECK(kind("b200-sxm-180gb").peak.contains(Precision::nvfp4));
  CHECK(kind("mi355x").peak.contains(Precision::mxfp8));
  CHECK_FALSE(kind("mi355x").peak.contains(Precision::nvfp4));
  CHECK_FALSE(kind("h100-sxm5-80gb").peak.contains(Precision::mxfp8));
}

TEST_CASE("every link kind has a rate, a latency and a name of its own") {
  std::set<std::string> names;
  for (const LinkClass& link : link_catalogue()) {
    INFO(link.name);
    CHECK(names.insert(link.name).second);
    CHECK(link.kind == link.name);
    CHECK(link.capacity.bytes_per_second > 1e9);
    CHECK(link.latency.value > 0);
    CHECK(link.energy.value >= 0);
    CHECK(link.failures_per_year < 1);
  }
}

TEST_CASE("well-known figures are those of the data sheets") {
  const AcceleratorKind& h100 = accelerator("h100-sxm5-80gb");
  CHECK(h100.peak.at(Precision::bf16) == teraflops(989));
  CHECK(h100.memory == gibibytes(80));
  CHECK(h100.memory_bandwidth == gigabytes_per_second(3350));
  CHECK(h100.power == Watts{700});
  CHECK_FALSE(accelerator("a100-sxm4-80gb").peak.contains(Precision::fp8));
  CHECK(link_kind("nvlink-4").capacity == gigabytes_per_second(450));
  CHECK(link_kind("infiniband-ndr").capacity == gigabits_per_second(400));
  CHECK(link_kind("shared-memory").capacity == gigabytes_per_second(40));
}

// What drivers show as the total, in MiB (MI300X: 206,141,652,992 B): a little is kept by the
// board.
TEST_CASE("capacities are what drivers show, within one per cent") {
  const std::map<std::string, std::uint64_t> shown = {
      {"h100-sxm5-80gb", 81'559}, {"h200-sxm-141gb", 143'771}, {"b200-sxm-180gb", 183'359},
      {"gb200-nvl72", 189'471},   {"b300-sxm-288gb", 275'040}, {"gb300-nvl72", 284'208},
      {"mi300x", 196'592}};
  for (const auto& [name, mebibytes_shown] : shown) {
    INFO(name);
    const double ratio =
        in_gibibytes(mebibytes(mebibytes_shown)) / in_gibibytes(accelerator(name).memory);
    CHECK(ratio > 0.99);
    CHECK(ratio < 1.001);
  }
}

TEST_CASE("power at full rate is the published energy per bit where ports publish less") {
  // 800G LPO: 13 pJ/bit at 800 Gb/s are 10.4 W, of which a port draws 8.5 W whatever it carries.
  const LinkClass& lpo = link_kind("800g-lpo");
  CHECK(lpo.medium == Medium::optical);
  CHECK(lpo.idle_power == Watts{8.5});
  const double full = lpo.idle_power.value + lpo.energy.value * in_bits_per_second(lpo.capacity);
  CHECK(full == Approx(10.4));
}

TEST_CASE("CSV cells may hold commas, quotes and line ends") {
  const auto rows = parse_csv("a,b\n1,\"x, \"\"y\"\"\nz\"\n,2\r\n", "f.csv");
  REQUIRE(rows);
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0].text("b") == "x, \"y\"\nz");
  CHECK((*rows)[1].text("a").empty());
  CHECK((*rows)[1].number("b") == 2);
}

TEST_CASE("CSV rows of the wrong length and open quotes are errors with their line") {
  CHECK(to_string(parse_csv("a,b\n1,2\n3\n4,5\n", "f.csv").error()) ==
        "f.csv:3:1: error: 1 cells under a header of 2\n");
  CHECK(to_string(parse_csv("a,b\n\n\n1,2\n\r\n\n3\n", "f.csv").error()) ==
        "f.csv:7:1: error: 1 cells under a header of 2\n");
  CHECK((*parse_csv("\na,b\n\n1,\"2\n3\"\n\n4,5", "f.csv"))[1].line == 7);
  CHECK_FALSE(parse_csv("a,b\n1,\"2\n", "f.csv"));
  CHECK_FALSE(parse_csv("", "f.csv"));
}
