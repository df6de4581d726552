#include "topology/calibration.hpp"

#include <catch2/catch.hpp>
#include <regex>

#include "topology/calibration_overlay.hpp"
#include "topology/calibration_range.hpp"
#include "topology/topology.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

std::string errors_of(const std::string& entry) {
  const auto read =
      parse_calibration("{\"schema_version\": 1, \"entries\": [\n" + entry + "\n]}", "cal.json");
  return read ? "" : to_string(read.error());
}

}  // namespace

TEST_CASE("every default is physically possible and says where it comes from") {
  const Calibration& calibration = default_calibration();
  REQUIRE(!calibration.entries.empty());
  for (const CalibrationEntry& entry : calibration.entries) {
    INFO(entry.subject << " " << entry.parameter);
    CHECK(!entry.source.empty());
    if (entry.parameter.ends_with("_efficiency")) {
      CHECK(entry.value > 0.1);
      CHECK(entry.value <= 1);
    }
    if (entry.unit == "s") CHECK(entry.value < (entry.parameter == "shard_latency" ? 1e-2 : 1e-3));
    if (entry.n == 0) CHECK(entry.source.find("assum") != std::string::npos);
  }
}

TEST_CASE("every default belongs to something of the catalogue, never to a source or a row") {
  for (const CalibrationEntry& entry : default_calibration().entries) {
    INFO(entry.subject << " " << entry.parameter);
    CHECK(misfit_of(entry) == "");
  }
}

TEST_CASE("every parameter has a default for subjects nobody measured") {
  for (const char* parameter :
       {"gemm_efficiency", "attention_efficiency", "hbm_efficiency", "launch_floor",
        "gemm_half_depth", "sustained_rate", "hbm_half_size", "link_efficiency", "software_latency",
        "host_launch", "host_exposed", "vector_traffic", "shard_latency", "step_spread"})
    CHECK(default_calibration().find("never-heard-of", parameter) != nullptr);
}

// "as nvlink-4; an assumption": a copy, which has to follow what it copies.
TEST_CASE("what a default takes over from a relative is what that has") {
  const std::regex taken("\\bas ([a-z][a-z0-9:.-]*)");
  int found = 0;
  for (const CalibrationEntry& entry : default_calibration().entries) {
    std::smatch name;
    if (!std::regex_search(entry.source, name, taken)) continue;
    INFO(entry.subject << " " << entry.parameter << ": " << entry.source);
    const CalibrationEntry* other = default_calibration().find(name[1].str(), entry.parameter);
    if (name[1] == "fused") continue;  // "counted as fused"
    REQUIRE(other != nullptr);
    REQUIRE(other->subject == name[1].str());
    CHECK(entry.value == other->value);
    ++found;
  }
  CHECK(found >= 24);
}

TEST_CASE("the subject's entry wins over the class default, and silence over nothing") {
  Calibration calibration;
  calibration.entries = {{"*", "link_efficiency", "1", 0.5, 0, 0, 0, 0, "test"},
                         {"nvlink-4", "link_efficiency", "1", 0.8, 0, 0, 0, 0, "test"}};
  CHECK(calibration.value_or("nvlink-4", "link_efficiency", 1) == 0.8);
  CHECK(calibration.value_or("other", "link_efficiency", 1) == 0.5);
  CHECK(calibration.value_or("other", "launch_floor", 7) == 7);
  CHECK(calibration.find("other", "launch_floor") == nullptr);
}

TEST_CASE("eight H100 on NVLink 4 reach 365 of 450 GB/s") {
  const Calibration& calibration = default_calibration();
  CHECK(calibration.value_or("nvlink-4", "link_efficiency", 0) ==
        Approx(365.0 / 450).epsilon(1e-3));
}

TEST_CASE("effective capacity is the line rate times the kind's efficiency") {
  const auto cluster = load_cluster("dgx-h100-4");
  REQUIRE(cluster);
  for (int l = 0; l < cluster->graph.links(); ++l) {
    const LinkId link{l};
    const double efficiency =
        default_calibration().value_or(cluster->graph.class_of(link).kind, "link_efficiency", 1);
    CHECK(effective_capacity(cluster->graph, link, default_calibration()).bytes_per_second ==
          efficiency * cluster->graph.capacity(link).bytes_per_second);
  }
}

TEST_CASE("calibration survives printing and reading") {
  const auto again = parse_calibration(to_json(default_calibration()), "again.json");
  REQUIRE(again);
  CHECK(*again == default_calibration());
  CHECK(to_json(*again) == to_json(default_calibration()));
}

TEST_CASE("wrong entries are refused with their places") {
  const std::string good =
      "{\"subject\": \"a\", \"parameter\": \"gemm_efficiency\", \"unit\": \"1\","
      " \"value\": 0.5, \"source\": \"s\"}";
  CHECK(errors_of(good).empty());
  CHECK(errors_of(good + ",\n" + good) ==
        "cal.json:3:1: error: entries[1]: gemm_efficiency of 'a' is already given; "
        "keep this one or the one in line 2\n");
  CHECK(errors_of("{\"subject\": \"a\", \"parameter\": \"gem_efficiency\", \"unit\": \"1\","
                  " \"value\": 0.5, \"source\": \"s\"}") ==
        "cal.json:2:31: error: entries[0].parameter: unknown parameter 'gem_efficiency'; "
        "did you mean 'gemm_efficiency'?\n");
  // What nothing reads would be ignored in silence.
  CHECK(errors_of("{\"subject\": \"nvlink-4\", \"parameter\": \"link_half_size\", \"unit\": \"B\","
                  " \"value\": 1e6, \"source\": \"s\"}")
            .find("unknown parameter 'link_half_size'") != std::string::npos);
  CHECK(errors_of("{\"subject\": \"a\", \"parameter\": \"launch_floor\", \"unit\": \"us\","
                  " \"value\": 1.5, \"source\": \"s\"}") ==
        "cal.json:2:55: error: entries[0].unit: launch_floor is given in 's'\n"
        "cal.json:2:70: error: entries[0].value: expected a number from 0 to 1, found '1.5'\n");
  CHECK(errors_of("{\"subject\": \"a\", \"parameter\": \"hbm_efficiency\", \"unit\": \"1\","
                  " \"value\": 1.5, \"source\": \"s\", \"sauce\": 1}")
            .find("unknown key 'sauce'; did you mean 'source'?") != std::string::npos);
}

TEST_CASE("a parameter of another sort of things is refused, a thing of the cluster's own is not") {
  const auto errors = [](const std::string& subject) {
    return errors_of("{\"subject\": \"" + subject +
                     "\", \"parameter\": \"compute_interference\", \"unit\": \"1\","
                     " \"value\": 1.2, \"source\": \"s\"}");
  };
  for (const char* subject : {"h100-sxm5-80gb", "chip-of-ours", "*"})
    CHECK(errors(subject).empty());
  for (const char* subject : {"nvlink-4", "library:nccl"})
    CHECK(errors(subject).find("has no compute_interference") != std::string::npos);
}

TEST_CASE("an entry used outside of its valid range is named once, with both ranges") {
  const Calibration calibration{
      {{"nvlink-4", "link_efficiency", "1", 0.8, 0, 1, 1 << 30, 4.0 * (1 << 30), "test"},
       {"*", "gemm_half_depth", "1", 200, 0, 1, 1e9, 1e12, "test"},
       {"cpu-core", "gemm_half_depth", "1", 16, 0, 0, 0, 0, "an assumption"}}};
  UsedRanges used(calibration);
  CHECK(used.notes().empty());
  used.add("nvlink-4", "link_efficiency", 1 << 30);  // the ends are inside
  used.add("nvlink-4", "link_efficiency", 4.0 * (1 << 30));
  used.add("nvlink-4", "no_such_parameter", 1);
  used.add("cpu-core", "gemm_half_depth", 1);  // any size is fine
  CHECK(used.notes().empty());
  used.add("h100", "gemm_half_depth", 1e8);  // by way of "*"
  used.add("nvlink-4", "link_efficiency", 1 << 20);
  used.add("nvlink-4", "link_efficiency", 1 << 25);
  CHECK(
      used.notes() ==
      std::vector<std::string>{
          "link_efficiency of 'nvlink-4' was measured from 1 GiB to 4 GiB and is used from 1 MiB "
          "to 32 MiB",
          "gemm_half_depth of '*' was measured from 1e+09 FLOP to 1e+12 FLOP and is used at 1e+08 "
          "FLOP"});
}
