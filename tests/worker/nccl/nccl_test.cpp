// The NCCL backend against our double of the two libraries, loaded through the same path as the
// real ones: no GPU is needed.
#include "worker/nccl/nccl_backend.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/worker/nccl/fake_nccl.hpp"
#include "tests/worker/ranks.hpp"
#include "worker/mpi_transport.hpp"
#include "worker/verify.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;

const NcclLibraries doubles{FAKE_NCCL_LIBRARY, FAKE_CUDART_LIBRARY};

// The double as it is at the beginning, and what it has seen since.
FakeNccl& fresh_double() {
  void* library = dlopen(FAKE_CUDART_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  REQUIRE(library != nullptr);
  library = dlopen(FAKE_NCCL_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  REQUIRE(library != nullptr);
  auto* found = reinterpret_cast<decltype(&fake_nccl)>(dlsym(library, "fake_nccl"))();
  *found = FakeNccl{};
  return *found;
}

std::unique_ptr<Backend> backend_of(Transport& transport) {
  auto backend = make_nccl_backend(transport, {transport.rank(), transport.size()}, doubles);
  if (!backend) throw std::runtime_error(to_string(backend.error()));
  return std::move(*backend);
}

std::uint64_t run_all(const Schedule& planned, DataType type, std::uint64_t elements) {
  std::atomic<std::uint64_t> wrong = 0;
  const Schedule schedule = opaque_schedule(planned);
  const ExactInputs inputs(elements + 1, schedule.ranks, type);
  const Bytes size = {elements * size_of(type)};
  on_ranks(schedule.ranks, [&](Transport& transport) {
    const auto backend = backend_of(transport);
    for (int round = 0; round < 2; ++round) {
      std::vector<std::byte> buffer(buffer_bytes(schedule, size).count);
      fill_inputs(schedule, transport.rank(), inputs, type, buffer);
      const Execution execution =
          backend->execute(schedule, everybody(schedule.ranks, transport.rank()), buffer,
                           Reducer(type, ReduceOp::sum), within(20));
      if (execution.state != WaitState::done) wrong += 1'000'000;
      wrong += count_wrong(schedule, transport.rank(), inputs, type, buffer);
    }
  });
  return wrong;
}

TEST_CASE("every operation, type and odd size is exact through NCCL's calls") {
  FakeNccl& fake = fresh_double();
  for (const Operation operation :
       {Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather,
        Operation::broadcast, Operation::all_to_all, Operation::send})
    for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16})
      for (const int ranks : {1, 2, 3, 5})
        for (const std::uint64_t elements : {1, 7, 64, 1003}) {
          INFO(to_string(operation)
               << " " << to_string(type) << " x " << elements << ", " << ranks << " ranks");
          REQUIRE(run_all({operation, Algorithm::direct, ranks}, type, elements) == 0);
        }
  CHECK(fake.aborted == 0);
  CHECK(fake.destroyed > 0);
}

TEST_CASE("communicators are non-blocking, one per group, with the plan's channels as a hint") {
  FakeNccl& fake = fresh_double();
  on_ranks(4, [&](Transport& transport) {
    const auto backend = backend_of(transport);
    const Reducer reducer(DataType::float32, ReduceOp::sum);
    std::vector<float> values(100);
    const int rank = transport.rank();
    for (int round = 0; round < 3; ++round)
      for (const bool rows : {true, false}) {
        Group group;
        group.ranks = rows ? std::vector{rank & ~1, rank | 1} : std::vector{rank & 1, rank | 2};
        group.index = rows ? rank & 1 : rank >> 1;
        Schedule schedule{Operation::all_reduce, Algorithm::ring, 2};
        schedule.channels = rows ? 8 : 1;
        backend->execute(schedule, group, std::as_writable_bytes(std::span(values)), reducer,
                         within(20));
      }
  });
  const auto count = [&](const std::string& begin) {
    return std::ranges::count_if(fake.calls,
                                 [&](const std::string& call) { return call.starts_with(begin); });
  };
  CHECK(count("join blocking=0") == 8);
  CHECK(count("join blocking=0 maxCTAs=8") == 4);
  CHECK(count("all_reduce") == 4 * 6);
  CHECK(fake.destroyed == 8);
}

// What each rank got when the double was told to do something wrong.
struct Ends {
  std::atomic<int> done = 0, timeout = 0, failed = 0, named = 0;
};
void all_reduce_once(Ends& ends, int ranks, int missing, double deadline) {
  on_ranks(ranks, [&](Transport& transport) {
    if (transport.rank() == missing) return;
    const auto backend = backend_of(transport);
    std::vector<float> values(100, 1);
    const Execution execution = backend->execute(
        {Operation::all_reduce, Algorithm::direct, ranks}, everybody(ranks, transport.rank()),
        std::as_writable_bytes(std::span(values)), Reducer(DataType::float32, ReduceOp::sum),
        within(deadline));
    ends.done += execution.state == WaitState::done;
    ends.timeout += execution.state == WaitState::timeout;
    ends.failed += execution.state == WaitState::failed;
    ends.named += execution.peer == missing;
  });
}

TEST_CASE("a collective that never ends is aborted everywhere at the deadline") {
  FakeNccl& fake = fresh_double();
  fake.lose_at = 0;
  Ends ends;
  all_reduce_once(ends, 3, -1, 0.2);
  CHECK(ends.timeout == 3);
  CHECK(fake.aborted == 3);
  CHECK(fake.destroyed == 0);
}

TEST_CASE("an error that NCCL reports later aborts, and so do the ranks that wait for that one") {
  FakeNccl& fake = fresh_double();
  fake.fail_at = 0;
  fake.fail_rank = 1;
  Ends ends;
  all_reduce_once(ends, 3, -1, 0.3);
  CHECK(ends.failed == 1);
  CHECK(ends.timeout == 2);
  CHECK(fake.aborted == 3);
}

TEST_CASE("a rank that does not come to the communicator is named") {
  for (const int missing : {0, 1}) {
    fresh_double();
    Ends ends;
    all_reduce_once(ends, 2, missing, 0.2);
    INFO(missing << " is missing");
    CHECK(ends.timeout == 1);
    CHECK(ends.named == 1);
  }
}

TEST_CASE("a slow start is waited for") {
  FakeNccl& fake = fresh_double();
  fake.polls_in_progress = 5000;
  Ends ends;
  all_reduce_once(ends, 2, -1, 20);
  CHECK(ends.done == 2);
}

std::string refusal(const NcclPlace& place, const NcclLibraries& libraries = doubles) {
  ThreadWorld world(1);
  const auto transport = world.transport(0);
  const auto backend = make_nccl_backend(*transport, place, libraries);
  return backend ? "" : to_string(backend.error());
}

TEST_CASE("what is missing is said with its remedy") {
  FakeNccl& fake = fresh_double();
  const auto says = [](const std::string& text, const std::string& words) {
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
    CHECK(text.find("; ") != std::string::npos);
  };
  says(refusal({0, 1}, {"/no/such/libnccl.so", FAKE_CUDART_LIBRARY}),
       "NCCL cannot be loaded: /no/such/libnccl.so");
  says(refusal({0, 1}, {FAKE_NCCL_LIBRARY, "/no/such/libcudart.so"}),
       "CUDA's runtime cannot be loaded: /no/such/libcudart.so");
  says(refusal({0, 1}, {FAKE_CUDART_LIBRARY, FAKE_CUDART_LIBRARY}), "the libraries lack nccl");
  fake.version = 21210;
  says(refusal({0, 1}), "NCCL 2.12.10 is too old");
  fake.version = 22809;
  says(refusal({8, 9}), "9 ranks on this machine share 8 GPUs");
  setenv("RAILWRIGHT_FAKE_DEVICES", "0", 1);
  says(refusal({0, 1}), "no GPU is found: no CUDA-capable device is detected");
  setenv("RAILWRIGHT_FAKE_DEVICES", "1", 1);
  says(refusal({1, 2}), "2 ranks on this machine share 1 GPU;");
  unsetenv("RAILWRIGHT_FAKE_DEVICES");
  setenv("RAILWRIGHT_NCCL_LIBRARY", "/named/by/environment.so", 1);
  says(refusal({0, 1}, {"", FAKE_CUDART_LIBRARY}), "/named/by/environment.so");
  unsetenv("RAILWRIGHT_NCCL_LIBRARY");
}

TEST_CASE("a vector that the GPU has no memory for fails instead of crashing") {
  fresh_double();
  setenv("RAILWRIGHT_FAKE_MEMORY", "100", 1);
  Ends ends;
  all_reduce_once(ends, 2, -1, 0.2);
  unsetenv("RAILWRIGHT_FAKE_MEMORY");
  CHECK(ends.failed == 2);
}

TEST_CASE("above 1,024 ranks there are more ids, and orders that NCCL lacks are refused") {
  CHECK(nccl_ids(1) == 1);
  CHECK(nccl_ids(1024) == 1);
  CHECK(nccl_ids(1025) == 2);
  CHECK(nccl_ids(4096) == 4);
  Schedule schedule{Operation::reduce_scatter, Algorithm::hierarchical, 6};
  schedule.inner = 2;
  CHECK(why_nccl_cannot(schedule).find("another order") != std::string::npos);
  CHECK(why_nccl_cannot({Operation::all_reduce, Algorithm::ring, 6}).empty());
}

}  // namespace
}  // namespace railwright::worker
