#include "topology/files/writable.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace railwright;
using namespace railwright::topology;

TEST_CASE("a file can be written into a folder that is there, beside others and over them") {
  const auto folder = std::filesystem::temp_directory_path();
  CHECK_FALSE(why_not_writable(""));
  CHECK_FALSE(why_not_writable("no-folder-named.json"));
  CHECK_FALSE(why_not_writable((folder / "new.json").string()));
  CHECK_FALSE(why_not_writable("/dev/null"));
  CHECK_FALSE(std::filesystem::exists(folder / "new.json"));
}

TEST_CASE("a missing folder, a folder and a file taken for a folder are refused by name") {
  const auto folder = std::filesystem::temp_directory_path();
  const auto refused = [](const std::string& path, const std::string& words) {
    const auto error = why_not_writable(path);
    REQUIRE(error);
    INFO(to_string(*error));
    CHECK(error->place.file == path);
    CHECK(error->message.find(words) != std::string::npos);
  };
  refused("/no/such/folder/plan.json", "/no/such/folder: No such file or directory");
  refused(folder.string(), "it is a folder");
  refused("/dev/null/plan.json", "/dev/null is not a folder");
}
