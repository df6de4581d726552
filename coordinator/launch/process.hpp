// Starting one program and following it to its end, without a shell.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "topology/result.hpp"

namespace railwright::coordinator {

struct ProcessCommand {
  std::vector<std::string> arguments;                            // the program's path first
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  bool shows_output = false;  // its stdout goes to ours; else to our stderr
  // A launcher that had children of this name and has had none for so long is taken to be stuck,
  // and killed; one that never had any, as its workers are elsewhere, is not. "": nobody looks.
  std::string workers = {};
  std::chrono::milliseconds childless = std::chrono::seconds(6);
};

struct ProcessEnd {
  int status = 0;            // exit status; 128 + signal when a signal ended it
  bool interrupted = false;  // we were told to stop and passed it on
  bool stuck = false;        // it had no children any more and did not end
};

// The program's stdin is empty. It gets a process group of its own; SIGINT, SIGTERM and SIGHUP (the
// terminal is gone) are passed on as SIGTERM, and what still runs ten seconds later is killed.
Result<ProcessEnd> run_process(const ProcessCommand& command);

// As one would type it.
std::string to_string(const ProcessCommand& command);

// A folder of our own under $TMPDIR, removed with everything in it at the end.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> make();
  ~TemporaryFolder();
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// A file in such a folder; the error says where temporary files go.
Result<void> write_temporary(const std::string& path, const std::string& text);

}  // namespace railwright::coordinator
