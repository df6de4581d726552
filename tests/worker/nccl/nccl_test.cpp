// The NCCL backend against our double of the two libraries, loaded through the same path as the
// real ones: no GPU is needed.
#include "worker/nccl/nccl_backend.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/worker/mpirun.hpp"
#include "tests/worker/nccl/doubles.hpp"
#include "tests/worker/nccl/fake_cudart.hpp"
#include "tests/worker/ranks.hpp"
#include "tests/worker/schedules.hpp"
#include "worker/mpi_transport.hpp"
#include "worker/verify.hpp"

namespace railwright::worker {
namespace {

using collectives::Algorithm;
using collectives::Operation;
using collectives::Schedule;

// Twice: the second time on what the backend has from the first. `kept`: in a buffer that it keeps.
std::uint64_t run_all(const Schedule& schedule, DataType type, std::uint64_t elements,
                      bool kept = false) {
  std::atomic<std::uint64_t> wrong = 0;
  const ExactInputs inputs(elements + 1, schedule.ranks, type);
  const Bytes size = {elements * size_of(type)};
  on_ranks(schedule.ranks, [&](Transport& transport) {
    const auto backend = backend_of(transport);
    const std::size_t length = buffer_bytes(schedule, size).count;
    std::vector<std::byte> memory(length + 64);  // a buffer may be longer than what is exchanged
    if (kept) backend->keep(memory);
    const auto buffer = std::span(memory).first(length);
    for (int round = 0; round < 2; ++round) {
      fill_inputs(schedule, transport.rank(), inputs, type, buffer);
      if (backend->send_there(buffer).state != WaitState::done) wrong += 1'000'000;
      // What is kept is not read from here any more.
      if (kept) std::ranges::fill(memory, std::byte{0xff});
      const Execution execution =
          backend->execute(schedule, everybody(schedule.ranks, transport.rank()), buffer,
                           Reducer(type, ReduceOp::sum), within(20));
      if (execution.state != WaitState::done) wrong += 1'000'000;
      if (backend->fetch(buffer).state != WaitState::done) wrong += 1'000'000;
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
          for (const bool kept : {false, true})
            REQUIRE(run_all({operation, Algorithm::direct, ranks}, type, elements, kept) == 0);
        }
  CHECK(fake.aborted == 0);
  CHECK(fake.destroyed > 0);
}

FakeCopies& fresh_copies() {
  void* library = dlopen(FAKE_CUDART_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  REQUIRE(library != nullptr);
  auto* copies = reinterpret_cast<decltype(&fake_copies)>(dlsym(library, "fake_copies"))();
  copies->to_device = copies->to_host = 0;
  return *copies;
}

TEST_CASE("a kept buffer is copied when the caller says so, any other at every call") {
  fresh_double();
  constexpr int ranks = 3, calls = 10;
  for (const auto operation : {Operation::all_reduce, Operation::reduce_scatter})
    // 103 elements leave parts of unequal length, which are put straight on the GPU.
    for (const std::uint64_t elements : {102, 103})
      for (const bool kept : {false, true}) {
        INFO(to_string(operation) << " of " << elements << (kept ? ", kept" : ""));
        FakeCopies& copies = fresh_copies();
        const Schedule schedule{operation, Algorithm::direct, ranks};
        const ExactInputs inputs(7, ranks, DataType::float32);
        std::atomic<std::uint64_t> wrong = 0;
        on_ranks(ranks, [&](Transport& transport) {
          const auto backend = backend_of(transport);
          std::vector<std::byte> buffer(elements * sizeof(float));
          if (kept) backend->keep(buffer);
          const auto call = [&] {
            return backend
                ->execute(schedule, everybody(ranks, transport.rank()), buffer,
                          Reducer(DataType::float32, ReduceOp::sum), within(20))
                .state;
          };
          for (int i = 1; i < calls; ++i) wrong += call() != WaitState::done;
          fill_inputs(schedule, transport.rank(), inputs, DataType::float32, buffer);
          backend->send_there(buffer);
          wrong += call() != WaitState::done;
          backend->fetch(buffer);
          wrong += count_wrong(schedule, transport.rank(), inputs, DataType::float32, buffer);
        });
        CHECK(wrong == 0);
        const int pieces = operation == Operation::all_reduce ? 1 : ranks;
        CHECK(copies.to_device == ranks * (kept ? 1 : calls * pieces));
        CHECK(copies.to_host == ranks * (kept ? 1 : calls * pieces));
      }
}

TEST_CASE("a buffer that the GPU has no room for is copied at every call") {
  fresh_double();
  FakeCopies& copies = fresh_copies();
  on_ranks(1, [&](Transport& transport) {
    const auto backend = backend_of(transport);
    std::vector<float> values(100, 3);
    const auto buffer = std::as_writable_bytes(std::span(values));
    setenv("RAILWRIGHT_FAKE_MEMORY", "100", 1);
    backend->keep(buffer);
    unsetenv("RAILWRIGHT_FAKE_MEMORY");
    for (int i = 0; i < 4; ++i)
      CHECK(backend
                ->execute({Operation::all_reduce, Algorithm::ring, 1}, everybody(1, 0), buffer,
                          Reducer(DataType::float32, ReduceOp::sum), within(20))
                .state == WaitState::done);
    CHECK(values == std::vector<float>(100, 3));
  });
  CHECK(copies.to_device == 4);
  CHECK(copies.to_host == 4);
}

TEST_CASE("planned schedules of every algorithm that NCCL can stand in for are exact") {
  fresh_double();
  int tried = 0;
  for (const int ranks : {2, 4, 6})
    for (const Schedule& planned : schedules(ranks)) {
      if (!why_nccl_cannot(planned).empty()) continue;
      INFO(to_string(planned.operation) << " " << to_string(planned.algorithm) << " " << ranks);
      for (const bool kept : {false, true})
        REQUIRE(run_all(planned, DataType::float32, 103, kept) == 0);
      ++tried;
    }
  CHECK(tried > 100);
}

TEST_CASE("planned algorithms become NCCL_ALGO, operation by operation") {
  const std::vector<Schedule> planned = {{Operation::all_reduce, Algorithm::double_tree, 8},
                                         {Operation::all_reduce, Algorithm::ring, 8},
                                         {Operation::all_gather, Algorithm::nvls, 8},
                                         {Operation::reduce_scatter, Algorithm::pairwise, 8},
                                         {Operation::reduce_scatter, Algorithm::ring, 8},
                                         {Operation::all_to_all, Algorithm::direct, 8}};
  CHECK(nccl_algorithms(planned, 22809) == "allgather:nvls,ring;allreduce:ring,tree");
  CHECK(nccl_algorithms(planned, 22304).empty());
  CHECK(nccl_algorithms({}, 22809).empty());
}

TEST_CASE("NCCL is told the planned algorithms before it makes a communicator, once") {
  FakeNccl& fake = fresh_double();
  unsetenv("NCCL_ALGO");
  const std::vector<Schedule> tree = {{Operation::all_reduce, Algorithm::double_tree, 2}};
  const std::vector<Schedule> ring = {{Operation::all_reduce, Algorithm::ring, 2}};
  for (const auto& planned : {tree, ring})
    on_ranks(1, [&](Transport& transport) {
      auto backend = make_nccl_backend(transport, {0, 1}, doubles, planned);
      std::vector<float> values(10);
      (*backend)->execute({Operation::all_reduce, Algorithm::ring, 1}, everybody(1, 0),
                          std::as_writable_bytes(std::span(values)),
                          Reducer(DataType::float32, ReduceOp::sum), within(20));
    });
  unsetenv("NCCL_ALGO");
  // The second finds the variable set, as if by the user.
  CHECK(std::ranges::count(fake.calls, "NCCL_ALGO=allreduce:tree") == 2);
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

// One rank: ranks of the double are threads of one process.
TEST_CASE("bench takes the libraries that the environment names, and says what is missing",
          "[mpi]") {
  const Folder folder;
  const std::string bench = "bench --backend nccl -b 64 -e 64K -f 32 -n 2 -w 1 --json ";
  setenv("RAILWRIGHT_NCCL_LIBRARY", FAKE_NCCL_LIBRARY, 1);
  setenv("RAILWRIGHT_CUDART_LIBRARY", FAKE_CUDART_LIBRARY, 1);
  setenv("RAILWRIGHT_FAKE_COPIES", folder.file("copies").c_str(), 1);
  for (const char* op : {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all"}) {
    const Ended ended =
        run(folder, 1, fmt::format("{}{} --op {}", bench, folder.file("bench.json"), op));
    INFO(op << "\n" << ended.output << ended.errors);
    REQUIRE(ended.status == 0);
    const std::string json = text_of(folder.file("bench.json"));
    CHECK(json.find("\"out_of_bounds\": 0") != std::string::npos);
    CHECK(json.find("\"algorithm\": \"opaque\"") != std::string::npos);
    // Of three sizes: inputs for a warm-up and two iterations, and the last result to be checked.
    CHECK(text_of(folder.file("copies")) == "9 in, 3 out");
  }
  unsetenv("RAILWRIGHT_FAKE_COPIES");
  setenv("RAILWRIGHT_FAKE_DEVICES", "0", 1);
  const Ended none = run(folder, 2, bench + folder.file("none.json"));
  unsetenv("RAILWRIGHT_FAKE_DEVICES");
  setenv("RAILWRIGHT_NCCL_LIBRARY", "/no/such/libnccl.so", 1);
  const Ended missing = run(folder, 2, bench + folder.file("none.json"));
  unsetenv("RAILWRIGHT_NCCL_LIBRARY");
  unsetenv("RAILWRIGHT_CUDART_LIBRARY");
  CHECK(none.status == 2);
  CHECK(none.errors.find("backend nccl: no GPU is found") != std::string::npos);
  CHECK(missing.status == 2);
  CHECK(missing.errors.find("NCCL cannot be loaded: /no/such/libnccl.so") != std::string::npos);
  CHECK_FALSE(fs::exists(folder.file("none.json")));
}

}  // namespace
}  // namespace railwright::worker
