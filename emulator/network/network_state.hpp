// What Network keeps: rates (levels.hpp), ends (clocks.hpp), and here what each link and transfer
// was.
#pragma once

#include <cassert>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "emulator/network.hpp"
#include "emulator/network/clocks.hpp"
#include "emulator/network/levels.hpp"

namespace railwright::emulator {

// An index per link, -1 until it is set. Memory from calloc costs nothing where nobody looks, and
// most links of a large cluster are never asked for.
class LinkIndex {
 public:
  explicit LinkIndex(int links)
      : plus_one_(static_cast<int*>(std::calloc(static_cast<std::size_t>(links) + 1, sizeof(int))),
                  &std::free) {
    assert(plus_one_ && "out of memory");
  }
  int of(topology::LinkId link) const { return plus_one_.get()[link.index] - 1; }
  void set(topology::LinkId link, int index) { plus_one_.get()[link.index] = index + 1; }

 private:
  std::unique_ptr<int, void (*)(void*)> plus_one_;
};

// A link that has been used: most links of a large cluster never are.
struct UsedLink {
  int id = -1;  // -1: no link of the cluster, but a transfer's cap
  double capacity = 0, factor = 1;
  double offered = 0;  // bytes since time 0, up to the last change of `factor`
  std::int64_t factor_since = 0;
  double bytes = 0;  // of transfers that ended
  std::int64_t busy = 0, busy_since = 0;
  double limiting_seconds = 0;
};

// A piece of a transfer and the one before it, in one array for all: most transfers have one.
struct ChainedPiece {
  Piece piece;
  int before = -1;  // in the array; of a free place the next free one
};

// A transfer in flight.
struct Flow {
  int id = -1;
  int limiting = -1;  // index into State::links; -1: not yet known
  Instant piece_start;
  std::int64_t count = 1;
  double slowdown = 1;
};

struct Network::State {
  explicit State(int links) : index_of_link(links) {}

  const topology::Graph* graph = nullptr;
  const topology::Calibration* calibration = nullptr;
  bool raw = false;
  Instant now;
  std::vector<double> class_efficiency;  // negative: not asked yet
  LinkIndex index_of_link;               // into links
  std::vector<UsedLink> links;           // by index in `levels`
  std::vector<Flow> flows;               // by index in `levels`
  std::vector<int> flow_of;              // transfer id -> flow; -1: ended, -2: ends at once
  std::vector<ChainedPiece> pieces;
  std::vector<int> last_piece;  // by transfer id; -1: none
  int free_piece = -1;
  std::vector<int> at_once;  // transfers that end at `now`
  Levels levels;
  Clocks clocks;
  bool unsettled = false;
  std::vector<int> ended;
  std::vector<TransferId> ended_ids;
  std::vector<Levels::Load> loads;

  double effective_capacity(topology::LinkId link);
  int index_of(topology::LinkId link);
  void attach(int id, const Transfer& transfer);
  void finish(int f);
  void move_clock(Instant to);
  void settle();  // afterwards rates, limiting links and ends are right
  void relimit(int f);
  void cut_piece(const Flow& flow);
  void forget(int id);
  System current_system() const;
};

}  // namespace railwright::emulator
