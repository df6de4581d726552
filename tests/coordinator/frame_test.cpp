#include <catch2/catch.hpp>

#include "command.hpp"
#include "coordinator/console.hpp"

using namespace railwright;
using namespace railwright::test;
using Catch::Matchers::Contains;

TEST_CASE("without arguments the help is printed") {
  const Outcome run = run_command("");
  CHECK(run.status == 0);
  CHECK_THAT(run.out, Contains("plan") && Contains("doctor") && Contains("run"));
}

TEST_CASE("an unknown command names the closest one and ends with status 2") {
  const Outcome run = run_command("plam");
  CHECK(run.status == 2);
  CHECK(run.out.empty());
  CHECK_THAT(run.err, Contains("plam") && Contains("'plan'"));
}

TEST_CASE("a missing or malformed option ends with status 2") {
  CHECK(run_command("plan").status == 2);
  CHECK(run_command("plan --model x --cluster y --accelerators many").status == 2);
  CHECK(run_command("doctor --no-such-option").status == 2);
}

TEST_CASE("every command has a help with an example") {
  const Outcome help = run_command("--help");
  CHECK(help.status == 0);
  for (const std::string command : {"plan", "run", "doctor", "topology", "collective", "emulate"}) {
    const Outcome run = run_command(command + " --help");
    INFO(command << "\n" << run.err);
    CHECK(run.status == 0);
    CHECK_THAT(run.out, Contains("railwright " + command) || Contains("Example"));
  }
}

TEST_CASE("doctor says of each thing whether it is there, and ends with status 0") {
  const Outcome run = run_command("doctor --json");
  REQUIRE(run.status == 0);
  const auto document = run.json();
  REQUIRE(document["checks"].size() > 5);
  for (const auto& check : document["checks"]) {
    CHECK(check["name"].is_string());
    CHECK(check["ok"].is_boolean());
    CHECK(!check["detail"].get<std::string>().empty());
  }
}

TEST_CASE("a column of a table is flush right only where it holds numbers alone") {
  CHECK(coordinator::table({{"name", "count", "detail"},
                            {"a", "1", "2"},
                            {"long", "-", "some words"},
                            {"b", "100", ""}}) ==
        "name  count  detail\n"
        "a         1  2\n"
        "long      -  some words\n"
        "b       100\n");
}
