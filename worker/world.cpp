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

namespace railwright::worker {
namespace {

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

void gather_places(World& world) {
  constexpr int width = 256;
  std::string mine = host_name();
  mine.resize(width, '\0');
  std::string all(static_cast<std::size_t>(width) * world.size, '\0');
  MPI_Allgather(mine.data(), width, MPI_CHAR, all.data(), width, MPI_CHAR, MPI_COMM_WORLD);
  for (int rank = 0; rank < world.size; ++rank)
    world.hosts.emplace_back(all.c_str() + std::size_t(rank) * width);
  const int process = getpid();
  world.processes.resize(world.size);
  static_assert(sizeof(pid_t) == sizeof(int));
  MPI_Allgather(&process, 1, MPI_INT, world.processes.data(), 1, MPI_INT, MPI_COMM_WORLD);
  int first = world.rank;
  MPI_Bcast(&first, 1, MPI_INT, 0, world.node);
  world.first_of.resize(world.size);
  MPI_Allgather(&first, 1, MPI_INT, world.first_of.data(), 1, MPI_INT, MPI_COMM_WORLD);
}

}  // namespace

World join_world() {
  World world;
  MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world.size);
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world.rank, MPI_INFO_NULL, &world.node);
  MPI_Comm_rank(world.node, &world.node_rank);
  MPI_Comm_size(world.node, &world.node_size);
  gather_places(world);
  const int first = world.node_rank == 0;
  MPI_Allreduce(&first, &world.nodes, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  const int crowded = world.node_size > sysconf(_SC_NPROCESSORS_ONLN);
  int any = 0;
  MPI_Allreduce(&crowded, &any, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  world.oversubscribed = any != 0;
  return world;
}

bool agree(const World& world, const Errors& errors) {
  const int mine = errors.empty() ? world.size : world.rank;
  int lowest = 0;
  MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (lowest == world.size) return true;
  if (lowest == world.rank) std::cerr << to_string(errors) << std::flush;
  MPI_Barrier(MPI_COMM_WORLD);  // printed before anybody ends
  return false;
}

std::vector<std::string> gather_text(MPI_Comm communicator, const std::string& text) {
  int rank = 0, size = 1;
  MPI_Comm_rank(communicator, &rank);
  MPI_Comm_size(communicator, &size);
  const int length = static_cast<int>(text.size());
  std::vector<int> lengths(size), places(size);
  MPI_Gather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, 0, communicator);
  for (int i = 1; i < size; ++i) places[i] = places[i - 1] + lengths[i - 1];
  std::string all(rank == 0 ? places.back() + lengths.back() : 0, '\0');
  MPI_Gatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), places.data(), MPI_CHAR, 0,
              communicator);
  std::vector<std::string> texts;
  for (int i = 0; rank == 0 && i < size; ++i) texts.push_back(all.substr(places[i], lengths[i]));
  return texts;
}

void give_up(const World& world, const WaitResult& result, Seconds timeout) {
  const std::string why = result.state == WaitState::timeout
                              ? fmt::format("no answer for {:.3g} s", timeout.value)
                              : "its connection failed";
  const std::string text = result.peer < 0 ? fmt::format("a rank is lost: {}\n", why)
                                           : fmt::format("rank {} on {} lost: {}\n", result.peer,
                                                         world.hosts[result.peer], why);
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
