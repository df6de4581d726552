// Runs the real `railwright` binary and keeps what it said.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace railwright::test {

struct Outcome {
  int status = -1;
  std::string out, err;
  nlohmann::json json() const { return nlohmann::json::parse(out); }
};

// `arguments` as in a shell; paths of the project through source_file().
Outcome run_command(const std::string& arguments);
std::string source_file(const std::string& path);  // "examples/models/tiny-gpt.json"

// A folder of one test, removed at its end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  // Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& text) const;
  bool empty() const;

 private:
  std::filesystem::path path_;
};

std::string read_text(const std::string& path);

}  // namespace railwright::test
