// Disks that are full or cannot be written. Needs root, for a small file system in memory.
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "coordinator/service/files.hpp"
#include "live_service.hpp"

using namespace railwright::coordinator;
using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string emulated =
    "submit --model tiny-gpt --accelerators 2 --global-batch 4 --sequence 64 --fix dp=2 "
    "--emulated --steps 1 --id ";

class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
    mounted_ = mount("none", path_.c_str(), "tmpfs", 0, "size=24m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  explicit operator bool() const { return mounted_; }
  // All but so many bytes are taken.
  void fill(std::uintmax_t left) const {
    std::ofstream file(path_ + "/filler", std::ios::binary);
    const auto space = std::filesystem::space(path_).available;
    file << std::string(space > left ? space - left : 0, 'x');
  }
  void make_room() const { std::filesystem::remove(path_ + "/filler"); }
  bool make_read_only() const {
    return mount("none", path_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

 private:
  std::string path_;
  bool mounted_ = false;
};

}  // namespace

TEST_CASE("on a full disk nothing is accepted, and nothing that was accepted is lost") {
  const Folder folder;
  const SmallDisk disk(folder.file("data"));
  if (!disk) {
    WARN("no file system can be mounted here: full disks are not tried");
    return;
  }
  LiveService service(folder);
  REQUIRE(service.client(emulated + "first").status == 0);
  REQUIRE(service.reaches("first", "done"));
  disk.fill(1 << 20);
  const auto refused = service.client(emulated + "second");
  CHECK(refused.status == 2);
  CHECK_THAT(refused.err, Contains("is full"));
  const std::string body = R"({"id": "third", "model": "tiny-gpt", "accelerators": 2,
                               "global_batch": 4, "sequence": 64})";
  const auto answer = ask_coordinator({*read_file(service.data() + "/address"), {}, {}}, "POST",
                                      "/api/v1/jobs", body);
  REQUIRE(answer);
  CHECK(answer->status == 507);
  disk.make_room();
  REQUIRE(service.client(emulated + "second").status == 0);
  service.kill_with(SIGKILL);
  service.start();
  CHECK(service.reaches("first", "done"));
  CHECK(service.reaches("second", "done"));
}

TEST_CASE("a disk that cannot be written is refused at the start") {
  const Folder folder;
  const SmallDisk disk(folder.file("data"));
  if (!disk || !disk.make_read_only()) {
    WARN("no file system can be mounted here: read-only disks are not tried");
    return;
  }
  const Outcome outcome = run_command(
      "coordinator --cluster localhost --listen 127.0.0.1:0 --data " + folder.file("data"));
  CHECK(outcome.status == 2);
  CHECK_THAT(outcome.err, Contains("written") || Contains("cannot be made"));
}
