// Manual page and completion, as shells and man see them.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "command.hpp"

using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

// What bash would offer behind a line.
std::string offered(const Folder& folder, const std::string& words, int at) {
  const std::string script =
      folder.write("complete.sh", "source " + folder.file("railwright.bash") + "\nCOMP_WORDS=(" +
                                      words + ")\nCOMP_CWORD=" + std::to_string(at) +
                                      "\n_railwright\necho \"${COMPREPLY[@]}\"\n");
  const std::string out = folder.file("offered");
  REQUIRE(std::system(("bash " + script + " >" + out).c_str()) == 0);
  return read_text(out);
}

}  // namespace

TEST_CASE("bash completes commands, commands below commands, and options") {
  const Folder folder;
  folder.write("railwright.bash", run_command("completion bash").out);
  CHECK_THAT(offered(folder, "railwright em", 1), Contains("emulate"));
  CHECK_THAT(offered(folder, "railwright topology s", 2), Contains("show"));
  CHECK_THAT(offered(folder, "railwright submit --checkpoint-e", 2),
             Contains("--checkpoint-every"));
  CHECK_THAT(offered(folder, "railwright plan --model gpt2 --gl", 4), Contains("--global-batch"));
  CHECK_THAT(run_command("completion zsh").out, Contains("#compdef railwright"));
  CHECK(run_command("completion fish").status == 2);
}

TEST_CASE("the manual page holds every command that is listed, and none that is not") {
  const std::string page = run_command("man").out;
  for (const char* command :
       {"topology", "plan", "emulate", "run", "submit", "coordinator", "jobs"})
    CHECK_THAT(page, Contains(std::string(".SS railwright ") + command + "\n"));
  CHECK_THAT(page, !Contains("railwright leader"));
  CHECK_THAT(page, Contains("\\-\\-checkpoint\\-every"));
}
