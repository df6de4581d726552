// What a leader and the coordinator say to each other, by real sockets. The leader is ours, so that
// it can be cut off, come twice or never read.
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "coordinator/service/coordinator_link.hpp"
#include "coordinator/service/files.hpp"
#include "coordinator/store/store.hpp"
#include "running_coordinator.hpp"

using namespace railwright::coordinator;
using namespace railwright::test;

namespace {

const wire::Hello hello = {"led", 3, "leader", "the token of this launch"};

// Data of a coordinator that died while the job `led` ran under our leader.
void prepare(const Folder& folder) {
  const std::string data = folder.file("data");
  std::filesystem::create_directories(data + "/jobs/led");
  REQUIRE(write_file(data + "/jobs/led/token.3", hello.token));
  auto store = Store::open(data + "/coordinator.db");
  REQUIRE(store);
  control::Job job;
  job.spec.id = hello.job;
  job.spec.owner = "local";
  job.spec.request = "{}";
  job.spec.steps = 100;
  job.number = 1;
  job.state = control::State::running;
  job.epoch = hello.epoch;
  job.leader = hello.leader;
  job.nodes = {0, 1};
  REQUIRE(store->save({1, job}));
}

template <class M>
M receive(const Socket& socket) {
  const wire::Message message = socket.receive();
  REQUIRE(std::holds_alternative<M>(message));
  return std::get<M>(message);
}

Socket& greeted(Socket& socket) {
  socket.send(wire::encode(hello));
  receive<wire::Welcome>(socket);
  return socket;
}

std::string state_of_job(const RunningCoordinator& service) {
  return nlohmann::json::parse(service.ask("GET", "/api/v1/jobs/led").body)["state"];
}

}  // namespace

TEST_CASE("a leader is granted, told once to stop, and heard when it has ended") {
  const Folder folder;
  prepare(folder);
  const RunningCoordinator service(folder);
  CHECK(service.ask("GET", "/readyz").status == 503);  // its leader has not spoken yet
  Socket first(service.port);
  greeted(first).send(wire::encode(wire::Heartbeat{7, 0, 12}));
  CHECK(receive<wire::Answer>(first) == wire::Answer{7, wire::Verdict::granted});
  CHECK(service.ask("GET", "/readyz").status == 200);
  CHECK(service.counts("leaders_connected", 1));
  CHECK(service.counts("job_steps_total", 12));

  CHECK(service.ask("DELETE", "/api/v1/jobs/led").status == 200);
  const auto command = receive<wire::Command>(first);  // at once, not with the next heartbeat
  first.send(wire::encode(wire::Heartbeat{8, 0, 12}));
  CHECK(receive<wire::Answer>(first) == wire::Answer{8, wire::Verdict::stop});

  // Connected anew, it takes the place of the old connection, and is told again by the same number.
  Socket second(service.port);
  greeted(second);
  CHECK(receive<wire::Command>(second) == command);
  CHECK(first.is_closed_within(5));
  second.send(wire::encode(wire::Done{command.number}));
  second.send(wire::encode(wire::Heartbeat{9, 0, 12}));
  CHECK(receive<wire::Answer>(second) == wire::Answer{9, wire::Verdict::stop});

  // Confirmed, it is not told any more.
  Socket third(service.port);
  const wire::Report report = {10, control::Outcome::stopped, control::Failure::none, 20,
                               "no UTF-8: \x80"};
  greeted(third).send(wire::encode(report));
  CHECK(receive<wire::Answer>(third) == wire::Answer{10, wire::Verdict::dismissed});
  CHECK(state_of_job(service) == "cancelled");
  third.send(wire::encode(report));  // said twice is heard once
  CHECK(receive<wire::Answer>(third) == wire::Answer{10, wire::Verdict::dismissed});
  CHECK(service.counts("job_steps_total", 20));
  CHECK(service.counts("leaders_connected", 1));
  CHECK(service.ask("GET", "/healthz").status == 200);
}

TEST_CASE("an adoption is settled when the lease of a silent leader has ended") {
  const Folder folder;
  prepare(folder);
  const RunningCoordinator service(folder, {"--lease=2"});
  CHECK(service.ask("GET", "/readyz").status == 503);
  CHECK(within(20, [&] { return service.ask("GET", "/readyz").status == 200; }));
  CHECK(state_of_job(service) != "running");
}

TEST_CASE("who sends and never reads is not read any more, and takes no memory") {
  const Folder folder;
  prepare(folder);
  const RunningCoordinator service(folder);
  Socket socket(service.port);
  greeted(socket);
  const std::int64_t before = service.resident_bytes();
  std::string batch;
  for (std::uint64_t i = 0; i < 2'000; ++i) batch += wire::encode(wire::Heartbeat{i, 0, 0});
  // Socket buffers take some megabytes; then the answers have no room, and we have none.
  constexpr std::size_t much = 256 << 20;
  std::size_t sent = 0;
  for (std::size_t more = 1; more > 0 && sent < much; sent += more)
    more = socket.send_some(std::string_view(batch).substr(sent % batch.size()), 1'000);
  CHECK(sent < much);
  CHECK(service.ask("GET", "/healthz").status == 200);
  CHECK(service.resident_bytes() - before < (4 << 20));
  CHECK(service.counts("leaders_connected", 1));
  CHECK(within(20, [&] { return service.counts("leaders_connected", 0); }));  // it is given up
}

TEST_CASE("a link comes back to a coordinator that was restarted, and reports until it is heard") {
  const Folder folder;
  prepare(folder);
  std::atomic<int> granted = 0;
  LinkSettings settings;
  settings.data = folder.file("data");
  settings.hello = hello;
  settings.asked_at = [] { return std::int64_t{0}; };
  settings.steps_done = [] { return std::int64_t{5}; };
  settings.answered = [&](std::int64_t, wire::Verdict verdict) {
    granted += verdict == wire::Verdict::granted;
  };
  settings.commanded = [](wire::Verb) {};
  CoordinatorLink link(settings);  // before there is anybody
  for (int life = 0; life < 2; ++life) {
    const RunningCoordinator service(folder);
    granted = 0;
    CHECK(within(20, [&] { return granted >= 2; }));
  }
  std::atomic<bool> heard = false;
  std::thread reporting([&] {
    heard = link.report({0, control::Outcome::completed, control::Failure::none, 100, {}}, 60'000);
  });
  const RunningCoordinator service(folder);
  reporting.join();
  CHECK(heard);
  CHECK(state_of_job(service) == "done");
}
