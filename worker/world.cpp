#include "worker/world.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <set>

#include "worker/await.hpp"

namespace railwright::worker {
namespace {

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

// One number of every rank, in their order.
std::vector<int> gather_numbers(const World& world, int own) {
  std::vector<int> all(static_cast<std::size_t>(world.size));
  MPI_Request request;
  MPI_Iallgather(&own, 1, MPI_INT, all.data(), 1, MPI_INT, MPI_COMM_WORLD, &request);
  await(world, MPI_COMM_WORLD, request);
  return all;
}

void gather_hosts(World& world) {
  constexpr int width = 256;
  std::string mine = host_name();
  mine.resize(width, '\0');
  std::string all(static_cast<std::size_t>(width) * world.size, '\0');
  MPI_Request request;
  MPI_Iallgather(mine.data(), width, MPI_CHAR, all.data(), width, MPI_CHAR, MPI_COMM_WORLD,
                 &request);
  await(world, MPI_COMM_WORLD, request);
  for (int rank = 0; rank < world.size; ++rank)
    world.hosts.emplace_back(all.c_str() + std::size_t(rank) * width);
}

void gather_places(World& world) {
  static_assert(sizeof(pid_t) == sizeof(int));
  world.processes = gather_numbers(world, getpid());
  int first = world.rank;
  MPI_Request request;
  MPI_Ibcast(&first, 1, MPI_INT, 0, world.node, &request);
  await(world, world.node, request);
  world.first_of = gather_numbers(world, first);
}

}  // namespace

World join_world(Seconds patience) {
  World world;
  world.patience = patience;
  MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world.size);
  gather_hosts(world);
  {
    const Watchdog watchdog(world, "MPI_Comm_split_type");
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world.rank, MPI_INFO_NULL,
                        &world.node);
  }
  MPI_Comm_rank(world.node, &world.node_rank);
  MPI_Comm_size(world.node, &world.node_size);
  gather_places(world);
  world.nodes =
      static_cast<int>(reduced(world, MPI_COMM_WORLD, world.node_rank == 0 ? 1 : 0, MPI_SUM));
  const bool crowded = world.node_size > sysconf(_SC_NPROCESSORS_ONLN);
  world.oversubscribed = !everybody(world, MPI_COMM_WORLD, !crowded);
  return world;
}

bool agree(const World& world, const Errors& errors) {
  const auto nobody = static_cast<std::uint64_t>(world.size);
  const auto rank = static_cast<std::uint64_t>(world.rank);
  const std::uint64_t lowest =
      reduced(world, MPI_COMM_WORLD, errors.empty() ? nobody : rank, MPI_MIN);
  if (lowest == nobody) return true;
  if (lowest == rank) std::cerr << to_string(errors) << std::flush;
  meet(world, MPI_COMM_WORLD);  // printed before anybody ends
  return false;
}

std::vector<std::string> gather_text(const World& world, MPI_Comm communicator,
                                     const std::string& text) {
  int rank = 0, size = 1;
  MPI_Comm_rank(communicator, &rank);
  MPI_Comm_size(communicator, &size);
  const int length = static_cast<int>(text.size());
  std::vector<int> lengths(size), places(size);
  MPI_Request request;
  MPI_Igather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, 0, communicator, &request);
  await(world, communicator, request);
  for (int i = 1; i < size; ++i) places[i] = places[i - 1] + lengths[i - 1];
  std::string all(rank == 0 ? places.back() + lengths.back() : 0, '\0');
  MPI_Igatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), places.data(), MPI_CHAR,
               0, communicator, &request);
  await(world, communicator, request);
  std::vector<std::string> texts;
  for (int i = 0; rank == 0 && i < size; ++i) texts.push_back(all.substr(places[i], lengths[i]));
  return texts;
}

void give_up(const World& world, const WaitResult& result, Seconds timeout) {
  const std::string why = result.state == WaitState::timeout
                              ? fmt::format("no answer for {:.3g} s", timeout.value)
                              : "its connection failed";
  // Before everybody has told its host there are none.
  const std::string where =
      result.peer < 0 || world.hosts.empty() ? std::string() : " on " + world.hosts[result.peer];
  const std::string text = result.peer < 0
                               ? fmt::format("a rank is lost: {}\n", why)
                               : fmt::format("rank {}{} lost: {}\n", result.peer, where, why);
  std::cerr << text << std::flush;
  MPI_Abort(MPI_COMM_WORLD, exit_peer_lost);
  _exit(exit_peer_lost);
}

Errors write_file(const std::string& path, const std::string& text) {
  const std::string beside = fmt::format("{}.{}", path, getpid());
  std::ofstream file(beside, std::ios::binary);
  file << text;
  file.close();
  if (file && std::rename(beside.c_str(), path.c_str()) == 0) return {};
  const std::string why = std::strerror(errno);
  std::remove(beside.c_str());
  return {{{path, 0, 0}, "cannot be written: " + why, "choose a path in an existing directory"}};
}

}  // namespace railwright::worker
