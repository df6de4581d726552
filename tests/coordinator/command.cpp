#include "command.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace railwright::test {

Outcome run_command(const std::string& arguments) {
  const Folder folder;
  const std::string errors = folder.file("stderr");
  const std::string command = std::string(RAILWRIGHT_BINARY_DIR) + "/bin/railwright " + arguments +
                              " 2>" + errors + " </dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Outcome outcome;
  std::array<char, 4096> buffer;
  while (const std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.out.append(buffer.data(), n);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.err = read_text(errors);
  return outcome;
}

std::string source_file(const std::string& path) {
  return std::string(RAILWRIGHT_SOURCE_DIR) + "/" + path;
}

Folder::Folder() {
  std::string path = (std::filesystem::temp_directory_path() / "railwright-test-XXXXXX").string();
  REQUIRE(mkdtemp(path.data()) != nullptr);
  path_ = path;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::write(const std::string& name, const std::string& text) const {
  std::ofstream(file(name)) << text;
  return file(name);
}

bool Folder::empty() const { return std::filesystem::is_empty(path_); }

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace railwright::test
