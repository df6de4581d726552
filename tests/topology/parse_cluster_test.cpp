#include <catch2/catch.hpp>

#include "topology/document.hpp"
#include "topology/topology.hpp"

using namespace railwright;
using namespace railwright::topology;

namespace {

const std::string small =
    "schema_version: 1\n"
    "name: small\n"
    "link_classes:\n"
    "  fast: {kind: nvlink-4}\n"
    "nodes:\n"
    "  - name: node\n"
    "    count: 2\n"
    "    accelerator: h100-sxm5-80gb\n"
    "    accelerators: 8\n"
    "    scale_up: {shape: switch, link: fast}\n"
    "    nic: {pcie: pcie-5-x16}\n"
    "networks:\n"
    "  - {name: net, shape: switch, link: infiniband-ndr}\n";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string errors_of(const std::string& text) {
  const auto spec = parse_cluster(text, "c.yaml");
  return spec ? "" : to_string(spec.error());
}

std::string errors_with(const std::string& from, const std::string& to) {
  return errors_of(replaced(small, from, to));
}

bool says(const std::string& errors, const std::string& what) {
  INFO(errors);
  CHECK(errors.find(what) != std::string::npos);
  return errors.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("every ready cluster parses, builds, and its canonical form is the same cluster") {
  REQUIRE(ready_clusters().size() >= 9);
  for (const ReadyFile& ready : ready_clusters()) {
    INFO(ready.name);
    const auto file = load_cluster_file(ready.name);
    REQUIRE(file);
    CHECK(file->warnings.empty());
    CHECK(file->spec.name == ready.name);
    CHECK(!ready.description.empty());
    const std::string canonical = canonical_json(file->spec);
    const auto again = parse_cluster(canonical, "canonical.json");
    REQUIRE(again);
    CHECK(*again == file->spec);
    CHECK(canonical_json(*again) == canonical);
    CHECK(build_cluster(file->spec));
  }
}

TEST_CASE("the example of the page about cluster files builds as it is printed") {
  const auto page = read_text_file(std::string(RAILWRIGHT_SOURCE_DIR) + "/docs/cluster.md");
  REQUIRE(page);
  const std::size_t start = page->find("```yaml\n") + 8;
  const auto file = parse_cluster_file(page->substr(start, page->find("```", start) - start), "x");
  REQUIRE(file);
  CHECK(file->warnings.empty());
  const auto cluster = build_cluster(file->spec);
  REQUIRE(cluster);
  CHECK(cluster->accelerators() == 512);
  CHECK(cluster->host_of(AcceleratorId{511}) == "gpu064");
}

TEST_CASE("the canonical form does not depend on layout or the order of definitions") {
  const auto one = parse_cluster(
      "schema_version: 1\nname: a\nlink_classes: {z: {kind: nvlink-4}, b: {kind: nvlink-3}}\n"
      "nodes:\n- {name: n, accelerator: tpu-v4, accelerators: 2, scale_up: {shape: ring, link: "
      "z}}\n"
      "- {name: m, accelerator: tpu-v4, accelerators: 2, scale_up: {shape: ring, link: b}}\n",
      "one.yaml");
  const auto two = parse_cluster(
      R"({"name": "a", "nodes": [
          {"accelerators": 2, "accelerator": "tpu-v4", "name": "n",
           "scale_up": {"link": "z", "shape": "ring"}},
          {"name": "m", "count": 1, "accelerator": "tpu-v4", "accelerators": 2,
           "scale_up": {"shape": "ring", "link": "b"}}],
          "link_classes": {"b": {"kind": "nvlink-3"}, "z": {"kind": "nvlink-4"}},
          "schema_version": 1})",
      "two.json");
  REQUIRE(one);
  REQUIRE(two);
  CHECK(*one == *two);
  CHECK(canonical_json(*one) == canonical_json(*two));
}

TEST_CASE("odd figures survive the canonical form bit for bit") {
  const auto spec = parse_cluster(
      replaced(small, "{kind: nvlink-4}",
               "{bandwidth: 0.1 GB/s, latency: 0.3 us, energy: 1.7 pJ/b, idle_power: 0.7 W,"
               " cost: 0.1 USD, failures_per_year: 0.0063, medium: optical}"),
      "c.yaml");
  REQUIRE(spec);
  const auto again = parse_cluster(canonical_json(*spec), "canonical.json");
  REQUIRE(again);
  CHECK(*again == *spec);
}

TEST_CASE("a kind of the catalogue may be overridden key by key") {
  const auto spec = parse_cluster(
      replaced(small, "{kind: nvlink-4}", "{kind: nvlink-4, latency: 1 us}"), "c.yaml");
  REQUIRE(spec);
  const LinkClass& link = spec->link_classes[spec->nodes[0].scale_up_class->index];
  CHECK(link.name == "fast");
  CHECK(link.kind == "nvlink-4");
  CHECK(link.capacity == gigabytes_per_second(450));
  CHECK(link.latency == microseconds(1));
}

TEST_CASE("an accelerator may be based on another") {
  const auto spec = parse_cluster(
      replaced(replaced(small, "link_classes:",
                        "accelerators:\n  mine: {base: h100-sxm5-80gb, memory: 96 GB}\n"
                        "link_classes:"),
               "accelerator: h100-sxm5-80gb", "accelerator: mine"),
      "c.yaml");
  REQUIRE(spec);
  CHECK(spec->accelerator_kinds[0].memory == bytes(96'000'000'000));
  CHECK(spec->accelerator_kinds[0].memory_bandwidth == gigabytes_per_second(3350));
}

namespace {

// The cluster `small` with its accelerator written out as `mine`.
std::string with_accelerator(const std::string& mine) {
  return replaced(
      replaced(small, "link_classes:", "accelerators: {mine: " + mine + "}\nlink_classes:"),
      "accelerator: h100-sxm5-80gb", "accelerator: mine");
}

std::string subject_in(const std::string& text) {
  const auto spec = parse_cluster(text, "c.yaml");
  if (!spec) FAIL(to_string(spec.error()));
  const auto again = parse_cluster(canonical_json(*spec), "canonical.json");
  REQUIRE(again);
  CHECK(*again == *spec);
  CHECK(canonical_json(*again) == canonical_json(*spec));
  return spec->accelerator_kinds[0].subject();
}

}  // namespace

TEST_CASE("an accelerator is calibrated as its base, unless it says otherwise") {
  CHECK(subject_in(small) == "h100-sxm5-80gb");
  CHECK(subject_in(with_accelerator("{base: h100-sxm5-80gb, memory: 96 GB}")) == "h100-sxm5-80gb");
  CHECK(subject_in(with_accelerator("{base: h100-sxm5-80gb, calibrated_as: mine}")) == "mine");
  const std::string own = "peak: {bf16: 1 TFLOP/s}, memory: 8 GB, memory_bandwidth: 1 TB/s";
  CHECK(subject_in(with_accelerator("{" + own + "}")) == "mine");
  CHECK(subject_in(with_accelerator("{" + own + ", calibrated_as: tpu-v4}")) == "tpu-v4");
  says(errors_of(with_accelerator("{base: tpu-v4, calibrated_as: '*'}")), "'*' is no name");
}

TEST_CASE("an NVLink rate that is the sum of both directions gets a warning") {
  const auto file = parse_cluster_file(
      replaced(small, "{kind: nvlink-4}", "{kind: nvlink-4, bandwidth: 900 GB/s}"), "c.yaml");
  REQUIRE(file);
  REQUIRE(file->warnings.size() == 1);
  CHECK(to_string(file->warnings[0], "warning") ==
        "c.yaml:4:37: warning: link_classes.fast.bandwidth: 900 GB/s is the sum of both directions "
        "of nvlink-4; rates are per direction: write '450 GB/s'");
}

TEST_CASE("a definition that nothing uses gets a warning") {
  const auto file =
      parse_cluster_file(replaced(small, "nodes:", "  spare: {kind: nvlink-3}\nnodes:"), "c.yaml");
  REQUIRE(file);
  REQUIRE(file->warnings.size() == 1);
  CHECK(file->warnings[0].place.line == 5);
}

TEST_CASE("each wrong input says where it is and what to write") {
  CHECK(errors_with("count: 2", "cuont: 2") ==
        "c.yaml:7:5: error: nodes[0]: unknown key 'cuont'; did you mean 'count'?\n");
  CHECK(errors_with("{kind: nvlink-4}", "{bandwidth: 400, latency: 1 us}") ==
        "c.yaml:4:21: error: link_classes.fast.bandwidth: '400' has no unit; "
        "write '400 Gb/s' or '400 GB/s'\n");
  CHECK(errors_with("{kind: nvlink-4}", "{kind: nvlink-4, latency: 1e30 s}")
            .find("outside of 0 s to 1.00 s; write a physical value") != std::string::npos);
  CHECK(errors_with("{kind: nvlink-4}", "{kind: nvlink-4, bandwidth: 1 b/s}")
            .find("write a physical value") != std::string::npos);
  CHECK(errors_with("{kind: nvlink-4}", "{bandwidth: -5 GB/s, latency: 1 us}") ==
        "c.yaml:4:21: error: link_classes.fast.bandwidth: negative bandwidth '-5 GB/s'\n");
  CHECK(errors_with("accelerators: 8", "count: 8") ==
        "c.yaml:9:5: error: duplicate key 'count'; it is already given in line 7\n");
  CHECK(errors_with("h100-sxm5-80gb", "h100-sxm-80gb") ==
        "c.yaml:8:18: error: nodes[0].accelerator: unknown accelerator 'h100-sxm-80gb'; "
        "did you mean 'h100-sxm5-80gb'?\n");
  says(errors_with("link: fast", "link: fats"), "unknown link class 'fats'; did you mean 'fast'?");
  says(errors_with("nvlink-4", "nvlnk-4"), "unknown link kind 'nvlnk-4'; did you mean 'nvlink-4'");
  says(errors_with("shape: switch, link: fast", "shape: swich, link: fast"),
       "unknown choice 'swich'; did you mean 'switch'?");
  says(errors_with("schema_version: 1\n", ""), "missing key 'schema_version'");
  says(errors_with("schema_version: 1", "schema_version: 2"), "from 1 to 1, found '2'");
  says(errors_with("name: node", "name: node7"), "ends in a digit; node k is called 'node7k'");
  says(errors_with("name: net", "name: node"), "name 'node' is already there");
  says(errors_with("name: node", "name: a/b"), "'a/b' is no name");
  says(errors_with("{pcie: pcie-5-x16}", "{pcie: pcie-5-x16, accelerators_per_nic: 3}"),
       "8 accelerators cannot share NICs by 3");
  says(errors_with("link: infiniband-ndr", "link: infiniband-ndr, groups: [nood]"),
       "no node group 'nood'; did you mean 'node'?");
  says(errors_with("count: 2", "count: 4000000"), "accelerators are more than 16777216");
}

TEST_CASE("all errors of a cluster file come at once") {
  std::string text = replaced(small, "{kind: nvlink-4}", "{bandwidth: 50 GBps, latency: 1}");
  text = replaced(replaced(text, "count: 2", "count: 0"), "shape: switch, link: inf",
                  "shape: torus, link: inf");
  const auto spec = parse_cluster(text, "c.yaml");
  REQUIRE_FALSE(spec);
  CHECK(spec.error().size() == 4);
}

TEST_CASE("files that are no cluster at all are refused in one line") {
  CHECK(errors_of("") == "c.yaml: error: the file is empty\n");
  CHECK(errors_of(std::string("\x7f\x45LF\0\0", 6)) ==
        "c.yaml:1:5: error: not a text file; it must be UTF-8 YAML or JSON\n");
  CHECK(errors_of("- 1\n") ==
        "c.yaml:1:1: error: expected a map of keys and values, found a list\n");
  CHECK(to_string(load_cluster("./nowhere.yaml").error()) ==
        "./nowhere.yaml: error: no such file; check the path\n");
}

TEST_CASE("an unknown ready cluster offers the closest names") {
  says(to_string(load_cluster("dgx-h10").error()), "did you mean 'dgx-h100'");
}

TEST_CASE("hosts are read as Slurm writes them") {
  const auto hosts = [](const std::string& text, int count) {
    const auto spec = parse_cluster(
        "schema_version: 1\nname: h\nnodes:\n- {name: n, accelerator: tpu-v4, host: " + text +
            ", count: " + std::to_string(count) + "}\n",
        "c.yaml");
    return spec ? spec->nodes[0].hosts : std::vector<std::string>{to_string(spec.error())};
  };
  using Hosts = std::vector<std::string>;
  CHECK(hosts("\"gpu[008-011,3],login\"", 6) ==
        Hosts{"gpu008", "gpu009", "gpu010", "gpu011", "gpu3", "login"});
  CHECK(hosts("\"r[1-2]n[0-1]\"", 4) == Hosts{"r1n0", "r1n1", "r2n0", "r2n1"});
  CHECK(hosts("[a, \"b[1-2]\"]", 3) == Hosts{"a", "b1", "b2"});
  says(hosts("\"gpu[1-3]\"", 4)[0], "c.yaml:4:40: error: nodes[0].host: 3 hosts for 4 nodes");
  says(hosts("\"gpu[4-1]\"", 4)[0], "runs backwards");
  says(hosts("\"gpu[1-\"", 4)[0], "'[' without ']'; write ranges as Slurm does");
  says(hosts("\"gpu1-4]\"", 4)[0], "']' without '['");
  says(hosts("\"gpu[x]\"", 1)[0], "bad host range '[x]'");
  says(hosts("\"gpu[0-4294967295]\"", 1)[0], "too long");
  says(hosts("\"a,a\"", 2)[0], "host 'a' is named twice");
  says(hosts("\"a b\"", 1)[0], "is no host name");
}

TEST_CASE("a misspelt shape is one error: its keys mean nothing yet") {
  const auto read = parse_cluster(
      "schema_version: 1\nname: x\nnodes:\n"
      "  - {name: n, accelerator: h100-sxm5-80gb, accelerators: 8,\n"
      "     scale_up: {shape: torsu, link: nvlink-4, dimensions: [2, 4]}}\n"
      "networks:\n"
      "  - {name: net, shape: rail_fattree, edge: infiniband-ndr, nodes_per_leaf: 4}\n",
      "c.yaml");
  REQUIRE_FALSE(read);
  REQUIRE(read.error().size() == 2);
  CHECK(read.error()[0].message == "nodes[0].scale_up.shape: unknown choice 'torsu'");
  CHECK(read.error()[1].message == "networks[0].shape: unknown choice 'rail_fattree'");
}
