// All ranks of a run and where they are: the edge between the worker and MPI.
#pragma once

#include <mpi.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "topology/result.hpp"
#include "topology/units.hpp"
#include "worker/transport.hpp"

namespace railwright::worker {

enum ExitStatus : int {
  exit_ok = 0,
  exit_failed = 1,     // a wrong element, a verdict FAIL
  exit_usage = 2,      // usage or invalid input
  exit_peer_lost = 4,  // what MPI_Abort is given; mpirun may turn it into its own
};

struct World {
  int rank = 0, size = 1;
  std::vector<std::string> hosts;  // of every rank, as the machine calls itself
  std::vector<pid_t> processes;    // of every rank
  std::vector<int> first_of;       // of every rank: the first rank of its machine
  MPI_Comm node = MPI_COMM_NULL;   // the ranks of this machine
  int node_rank = 0, node_size = 1;
  int nodes = 1;
  bool oversubscribed = false;     // more ranks than cores on some machine
  Seconds patience = seconds(60);  // with a rank that does not come to a collective of all (await)
  bool first() const { return rank == 0; }
  bool first_of_node() const { return node_rank == 0; }
};

// Collective, after MPI_Init_thread.
World join_world(Seconds patience);

// Collective. True when nobody has errors; else the lowest rank that has prints its own.
bool agree(const World& world, const Errors& errors);

// Collective: the texts of all ranks on rank 0, nothing elsewhere. Over `communicator`.
std::vector<std::string> gather_text(const World& world, MPI_Comm communicator,
                                     const std::string& text);

// Prints "rank R on HOST lost: REASON" and ends the whole run. For a peer that did not answer in
// time and for one whose connection failed.
[[noreturn]] void give_up(const World& world, const WaitResult& result, Seconds timeout);

// mpirun ends the survivors of a lost rank with SIGTERM. While a Watch lives, a survivor then says
// which ranks of its own machine are gone before it ends. Make it before MPI_Init, so that no
// thread of MPI takes the signal; `world` may come later.
class Watch {
 public:
  Watch();
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  void observe(const World& world);
  void leave(int status);  // from now on a SIGTERM is part of an orderly end
};

// Writes beside the file, then renames: whole or not at all.
Errors write_file(const std::string& path, const std::string& text);

}  // namespace railwright::worker
