#include <catch2/catch.hpp>

#include "command.hpp"

using namespace railwright::test;
using Catch::Matchers::Contains;

TEST_CASE("topology show --json has the keys of the contract") {
  const Outcome run = run_command("topology show dgx-h100-4 --json");
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto document = run.json();
  CHECK(document["accelerators"] == 32);
  CHECK(document["nodes"] == 4);
  // Per GPU five duplex links: NVSwitch, PCIe switch, NIC, leaf and, at 1:1, leaf to spine.
  CHECK(document["links"] == 2 * 5 * 32);
  CHECK(document["bisection_kind"] == "exact");
  CHECK(document["bisection_bytes_per_s"].get<double>() > 0);
  CHECK(document["power_w"].get<double>() > 32 * 700);
  CHECK(document["cost_usd"].get<double>() > 32 * 25000);
  int links = 0;
  for (const auto& link : document["link_classes"]) {
    CHECK(link["bandwidth_bytes_per_s"].get<double>() > 0);
    CHECK(link["latency_s"].get<double>() > 0);
    links += link["count"].get<int>();
  }
  CHECK(links == document["links"]);
}

TEST_CASE("a price that is not known is absent, not zero") {
  const auto document = run_command("topology show mi300x-node --json").json();
  CHECK_FALSE(document.contains("cost_usd"));
}

TEST_CASE("topology check says ok for every ready cluster, by name and by file") {
  const auto list = run_command("topology list --json").json();
  REQUIRE(list["clusters"].size() >= 9);
  for (const auto& cluster : list["clusters"]) {
    const auto name = cluster["name"].get<std::string>();
    INFO(name);
    CHECK(run_command("topology check " + name).status == 0);
    const Outcome file = run_command("topology check --cluster " +
                                     source_file("examples/clusters/" + name + ".yaml"));
    CHECK(file.status == 0);
    CHECK_THAT(file.out, Contains("ok: " + name));
    CHECK(file.err.empty());
  }
}

TEST_CASE("topology list names clusters, accelerators and link kinds") {
  const Outcome run = run_command("topology list");
  CHECK(run.status == 0);
  for (const char* name : {"dgx-h100-4", "h100-sxm5-80gb", "nvlink-4", "cpu-core"})
    CHECK_THAT(run.out, Contains(name));
}

TEST_CASE("a wrong cluster file exits with 2 and all errors, nothing on stdout") {
  const Folder folder;
  const std::string path = folder.write("bad.yaml",
                                        "schema_version: 1\n"
                                        "name: bad\n"
                                        "nodes:\n"
                                        "  - {name: n, cuont: 2, accelerator: h100}\n"
                                        "link_classes:\n"
                                        "  a: {bandwidth: 400, latency: 1 us}\n");
  const Outcome run = run_command("topology check " + path);
  CHECK(run.status == 2);
  CHECK(run.out.empty());
  CHECK_THAT(run.err, Contains(path + ":4:15: error: nodes[0]: unknown key 'cuont'"));
  CHECK_THAT(run.err, Contains("unknown accelerator 'h100'; did you mean"));
  CHECK_THAT(run.err, Contains("'400' has no unit; write '400 Gb/s' or '400 GB/s'"));
}

TEST_CASE("an accelerator that nothing joins is an error of the file") {
  const Folder folder;
  const std::string path = folder.write("apart.yaml",
                                        "schema_version: 1\nname: apart\nnodes:\n"
                                        "  - {name: n, accelerator: mi300x, accelerators: 2}\n");
  const Outcome run = run_command("topology check " + path);
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains(path));
}

TEST_CASE("a doubled NVLink rate is a warning on stderr and no error") {
  const Folder folder;
  const std::string path = folder.write(
      "double.yaml",
      "schema_version: 1\nname: double\nlink_classes: {n: {kind: nvlink-4, bandwidth: 900 GB/s}}\n"
      "nodes:\n  - {name: n, accelerator: h100-sxm5-80gb, accelerators: 8,"
      " scale_up: {shape: switch, link: n}}\n");
  const Outcome run = run_command("topology check " + path);
  CHECK(run.status == 0);
  CHECK_THAT(run.err, Contains("warning: link_classes.n.bandwidth: 900 GB/s"));
  CHECK_THAT(run.err, Contains("write '450 GB/s'"));
}

TEST_CASE("a cluster that is not there is an error with the closest names") {
  const Outcome run = run_command("topology show dgx-h10");
  CHECK(run.status == 2);
  CHECK_THAT(run.err, Contains("did you mean 'dgx-h100'?"));
  CHECK(run_command("topology show").status == 2);
  CHECK(run_command("topology").status == 2);
  const Outcome typo = run_command("topology chek x.yaml");
  CHECK(typo.status == 2);
  CHECK_THAT(typo.err, Contains("error: unknown command 'chek'; did you mean 'check'?"));
}

TEST_CASE("power and price say what they count, and are absent where an accelerator is silent") {
  const Folder folder;
  const std::string path = folder.write("v5p.yaml",
                                        "schema_version: 1\nname: v5p\nnodes:\n"
                                        "  - {name: n, accelerator: tpu-v5p, accelerators: 4,"
                                        " scale_up: {shape: ring, link: 800g-dr8}}\n");
  const Outcome silent = run_command("topology show --json " + path);  // its links do have power
  INFO(silent.err);
  CHECK_FALSE(silent.json().contains("power_w"));
  CHECK_FALSE(silent.json().contains("cost_usd"));
  CHECK_THAT(run_command("topology show dgx-h100-4").out,
             Contains("accelerators and those link ports of which it is known; no switch chips, "
                      "NICs or hosts"));
}
