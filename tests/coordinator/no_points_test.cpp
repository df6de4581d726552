#include "coordinator/planner/no_points.hpp"

#include <catch2/catch.hpp>
#include <regex>

#include "requests.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using Catch::Matchers::Contains;

namespace {

ConfigError why(const PlanRequest& request, const std::string& fix) {
  const auto fixed = parse_fixed(fix);
  REQUIRE(fixed.has_value());
  REQUIRE(points_of(request.training, request.accelerators, *fixed).empty());
  return why_no_points(request.training, request.accelerators, request.cluster.accelerators(),
                       *fixed);
}

// Whether there are points once the words of a hint are followed: "--accelerators 32", "tp=4".
bool works(PlanRequest request, std::string fix, const std::string& word) {
  const auto number = [&](std::size_t at) { return std::stoll(word.substr(at)); };
  if (word.starts_with("--accelerators ")) {
    request.accelerators = number(15);
  } else if (word.starts_with("--global-batch ")) {
    request.training.global_batch = number(15);
  } else {
    const std::string name = word.substr(0, word.find('='));
    fix = std::regex_replace("," + fix, std::regex("," + name + "=[^,]*"), "," + word).substr(1);
  }
  return !points_of(request.training, request.accelerators, *parse_fixed(fix)).empty();
}

}  // namespace

TEST_CASE("an empty space names the rule, its numbers and the nearest values that satisfy it") {
  auto request = test::request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 8192);
  const ConfigError seven = why(request, "tp=7");
  CHECK_THAT(seven.message,
             Contains("tp x pp x dp = 7 x 1 x 1 = 7 does not divide 32 accelerators") &&
                 Contains("heads % tp: 32 is not divisible by 7; nearest that divide: 4 and 8"));
  CHECK_THAT(seven.hint, Contains("tp=4 or tp=8"));

  request.training.global_batch = 100;
  const ConfigError batch = why(request, "dp=32");
  CHECK_THAT(batch.message, Contains("global_batch % (dp x micro_batch): 100 is not divisible by "
                                     "32 x 1 = 32; nearest batches: 96 and 128"));
  CHECK_THAT(batch.hint, Contains("dp=4") && Contains("--global-batch 96 or --global-batch 128"));

  request.training.global_batch = 128;
  request.accelerators = 31;
  const ConfigError odd = why(request, "");
  CHECK_THAT(odd.message, Contains("32 heads") && Contains("31 accelerators"));
  CHECK_THAT(odd.hint, Contains("--accelerators 30 or --accelerators 32") ||
                           Contains("--accelerators 28 or --accelerators 32") ||
                           Contains("--accelerators 24 or --accelerators 32"));
}

TEST_CASE("whatever a hint of an empty space names is a way out") {
  for (const char* fix : {"tp=7", "tp=64", "pp=7", "dp=3", "dp=64", "micro_batch=3", "tp=4,pp=3",
                          "tp=8,pp=8", "dp=32,micro_batch=8", "cp=5", "tp=3,dp=2"}) {
    const auto request = test::request_of("llama-3.1-8b", "dgx-h100-4", 32, 128, 8192);
    const ConfigError error = why(request, fix);
    INFO(fix << ": " << error.message << "; " << error.hint);
    const std::regex word("(--[a-z-]+ |[a-z_]+=)[0-9]+");
    int named = 0;
    for (std::sregex_iterator at(error.hint.begin(), error.hint.end(), word), end; at != end;
         ++at) {
      CHECK(works(request, fix, at->str()));
      ++named;
    }
    CHECK(named > 0);
  }
}
