#include "worker/engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>

#include "worker/await.hpp"
#include "worker/hierarchical_backend.hpp"
#include "worker/mpi_transport.hpp"
#include "worker/nccl/nccl_backend.hpp"
#include "worker/shm/mpi_segments.hpp"
#include "worker/shm/shm_backend.hpp"

namespace railwright::worker {

// In the order of making; the reverse is that of their end.
struct Engine::Parts {
  explicit Parts(const World& here) : world(here) {}
  const World& world;
  std::unique_ptr<Transport> mpi;
  std::unique_ptr<SharedNode> node;
  std::unique_ptr<MixedTransport> mixed;
  std::unique_ptr<Transport> throttled;
  Transport& transport() {
    if (throttled) return *throttled;
    return mixed ? static_cast<Transport&>(*mixed) : *mpi;
  }
  std::unique_ptr<EdgeLog> edges;
  Errors make_backend(const EngineChoice& choice);
  std::unique_ptr<Backend> for_private, backend;
  std::vector<std::vector<std::byte>> own;  // buffers where nothing is shared
};

Errors Engine::Parts::make_backend(const EngineChoice& choice) {
  if (choice.backend == "nccl") {
    auto made =
        make_nccl_backend(transport(), {world.node_rank, world.node_size}, {}, choice.planned);
    if (!made) return made.error();
    backend = std::move(*made);
  } else if (choice.backend == "mpi") {
    backend = make_mpi_backend(MPI_COMM_WORLD);
  } else if (choice.backend == "shm") {
    for_private = make_mpi_backend(MPI_COMM_WORLD);
    backend = make_shm_backend(*node, for_private.get(), edges.get());
  } else if (choice.backend == "hierarchical") {
    backend = make_hierarchical_backend(*node, transport(), edges.get());
  } else {
    backend = make_p2p_backend(transport(), edges.get());
  }
  return {};
}

bool is_opaque(const std::string& backend) { return backend == "mpi" || backend == "nccl"; }

collectives::Schedule executed_schedule(const std::string& backend,
                                        const collectives::Schedule& planned) {
  const bool hints = backend == "nccl" && why_nccl_cannot(planned).empty();
  return is_opaque(backend) && !hints ? opaque_schedule(planned) : planned;
}

Errors why_no_memory(const World& world, Bytes each) {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  for (std::uint64_t kibibytes = 0; file >> key >> kibibytes; std::getline(file, unit)) {
    if (key != "MemAvailable:") continue;
    const Bytes free{kibibytes << 10};
    const auto ranks = static_cast<std::uint64_t>(world.node_size);
    if (each.count <= free.count / ranks) return {};
    return {{{},
             fmt::format("{} has {} of memory free, its {} ranks need {} each for their buffers",
                         world.hosts[world.rank], to_string(free), ranks, to_string(each)),
             "take fewer ranks, a smaller model or smaller sizes"}};
  }
  return {};
}

bool shares_memory(const std::string& backend) {
  return backend == "shm" || backend == "hierarchical";
}

bool live_together(const std::vector<int>& machine_of, const std::vector<int>& ranks) {
  return std::ranges::all_of(
      ranks, [&](int rank) { return machine_of[rank] == machine_of[ranks.front()]; });
}

namespace {

std::vector<int> ranks_on(const std::vector<int>& machine_of, int machine) {
  std::vector<int> ranks;
  for (int rank = 0; rank < static_cast<int>(machine_of.size()); ++rank)
    if (machine_of[rank] == machine) ranks.push_back(rank);
  return ranks;
}

// The ranks of this machine, real or virtual, as a communicator that is freed again: the window
// keeps its own.
Result<Segments> share_memory(const World& world, const EngineChoice& choice) {
  const std::vector<int> machine_of = machines(world, choice.ranks_per_node);
  std::vector<int> ranks = ranks_on(machine_of, machine_of[world.rank]);
  const Bytes each = SharedNode::segment_size(static_cast<int>(ranks.size()), choice.buffers);
  MPI_Comm node = MPI_COMM_NULL;
  meet(world, MPI_COMM_WORLD);
  const Watchdog watchdog(world, "sharing memory");
  MPI_Comm_split(MPI_COMM_WORLD, machine_of[world.rank], world.rank, &node);
  Result<Segments> segments = make_mpi_segments(node, std::move(ranks), each);
  MPI_Comm_free(&node);
  return segments;
}

std::unique_ptr<Transport> open_messages(const World& world) {
  meet(world, MPI_COMM_WORLD);
  const Watchdog watchdog(world, "MPI_Comm_dup");
  return make_mpi_transport(MPI_COMM_WORLD, world.oversubscribed);
}

Errors open_mixed(const World& world, SharedNode& node, Transport& mpi,
                  std::unique_ptr<MixedTransport>& mixed) {
  const auto deadline = Transport::Deadline::clock::now() + std::chrono::seconds(60);
  const WaitResult result = MixedTransport::make(node, mpi, deadline, mixed);
  if (result.state == WaitState::done) return {};
  if (result.state == WaitState::timeout) give_up(world, result, seconds(60));
  return {{{}, "too little shared memory for the messages inside a machine", "report this"}};
}

}  // namespace

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() {
  if (!parts_) return;
  const Watchdog watchdog(parts_->world, "closing what the ranks share");
  parts_.reset();
}

Result<Engine> Engine::make(const World& world, const EngineChoice& choice) {
  auto parts = std::make_unique<Parts>(world);
  parts->mpi = open_messages(world);
  Transport& mpi = *parts->mpi;
  Errors errors;
  if (shares_memory(choice.backend)) {
    Result<Segments> segments = share_memory(world, choice);
    if (choice.or_p2p && !everybody(world, MPI_COMM_WORLD, segments.has_value())) {
      if (world.first()) std::cerr << "note: backend p2p, for too little memory can be shared\n";
      EngineChoice other = choice;
      other.backend = "p2p";
      return make(world, other);
    }
    if (!agree(world, segments ? Errors{} : segments.error())) return tl::unexpected(Errors{});
    parts->node = std::make_unique<SharedNode>(std::move(*segments));
    errors = open_mixed(world, *parts->node, mpi, parts->mixed);
    if (parts->mixed)
      parts->node->set_patience(mpi.spin_budget(), [&mixed = *parts->mixed] { mixed.progress(); });
  }
  if (!agree(world, errors)) return tl::unexpected(Errors{});
  if (!choice.throttles.empty())
    parts->throttled = make_throttled_transport(parts->transport(), choice.throttles);
  if (choice.time_edges && !is_opaque(choice.backend))
    parts->edges = std::make_unique<EdgeLog>(world.rank);
  errors = parts->make_backend(choice);
  if (!agree(world, errors)) return tl::unexpected(Errors{});
  return Engine(std::move(parts));
}

Backend& Engine::backend() const { return *parts_->backend; }

Transport& Engine::transport() const { return parts_->transport(); }

std::span<std::byte> Engine::allocate(std::size_t size) {
  if (parts_->node) return parts_->node->allocate(size);
  return parts_->own.emplace_back(size);
}

EdgeLog* Engine::edges() const { return parts_->edges.get(); }

SharedNode* Engine::node() { return parts_->node.get(); }

std::optional<Ways> Engine::ways() const {
  if (!parts_->mixed) return std::nullopt;
  return parts_->mixed->ways();
}

std::vector<std::string> engine_names() { return {"p2p", "mpi", "shm", "hierarchical", "nccl"}; }

std::vector<int> machines(const World& world, int ranks_per_node) {
  std::map<int, int> seen_on;
  std::map<std::pair<int, int>, int> number_of;
  std::vector<int> machine_of;
  for (int rank = 0; rank < world.size; ++rank) {
    const int host = world.first_of[rank], here = seen_on[host]++;
    const int part = ranks_per_node > 0 ? here / ranks_per_node : 0;
    const int next = static_cast<int>(number_of.size());
    machine_of.push_back(number_of.try_emplace({host, part}, next).first->second);
  }
  return machine_of;
}

std::string why_engine_cannot(const std::string& backend, const World& world, int ranks_per_node,
                              const Group& group, const collectives::Schedule& schedule, Bytes size,
                              DataType type) {
  if (backend == "mpi") return why_mpi_cannot(opaque_schedule(schedule), size, type);
  if (backend == "nccl") return why_nccl_cannot(schedule);
  const std::vector<int> machine_of = machines(world, ranks_per_node);
  const auto elsewhere = std::ranges::find_if(
      group.ranks, [&](int rank) { return machine_of[rank] != machine_of[group.ranks.front()]; });
  if (elsewhere == group.ranks.end() && shares_memory(backend)) return {};
  if (backend == "shm")
    return fmt::format("rank {} lives on another machine than rank {}", *elsewhere,
                       group.ranks.front());
  return why_p2p_cannot(schedule);
}

}  // namespace railwright::worker
