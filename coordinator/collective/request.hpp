// What `railwright collective` was asked for: the words as typed, and the request that they make
// once everything in them has been checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/nccl.hpp"
#include "emulator/collective.hpp"

namespace railwright::coordinator {

struct CollectiveWords {
  std::string cluster, operation = "all_reduce", algorithm = "auto", compare, detail = "automatic",
                       bound = "automatic";
  std::string bytes, begin, end, data_type = "float", faults, calibration, nccl_version, report;
  std::string placement = "given";
  std::vector<std::string> group;
  double factor = 2;
  std::optional<int> ranks, root;
  bool json = false;
};

// As nccl-tests names them.
struct ElementType {
  std::string_view name;
  std::uint64_t bytes = 4;
  bool fp8 = false;
};

// What people ask for and what is sent: whole elements, rounded down.
struct MessageSize {
  Bytes asked, sent;
};

// How the algorithm of a size is found.
enum class Rule : std::uint8_t {
  nccl,   // "auto": what NCCL would pick on a machine that it knows, else the fastest we know
  best,   // the fastest we know
  named,  // this one
};
struct Wanted {
  std::string word;  // "auto", "tree": a column of --compare
  Rule rule = Rule::nccl;
  collectives::Algorithm algorithm = collectives::Algorithm::ring;  // named
};

struct CollectiveRequest {
  topology::Cluster cluster;
  std::vector<topology::AcceleratorId> members;
  collectives::Operation operation = collectives::Operation::all_reduce;
  std::optional<std::uint64_t> shuffled;  // members are in random order: its seed
  int root = 0;                           // group rank; broadcast and reduce
  ElementType type;
  std::vector<MessageSize> sizes;  // ascending; at least one
  double factor = 0;               // from one size to the next; 0: no sweep
  std::vector<Wanted> wanted;      // at least one; several: --compare
  emulator::Detail detail = emulator::Detail::automatic;
  emulator::StepFaults faults;
  topology::Calibration calibration;
  const collectives::nccl::Constants* nccl_constants = nullptr;
  bool bounded = true;  // bound and attainable rate are wanted

  int ranks() const { return static_cast<int>(members.size()); }
  bool sweeps() const { return factor > 0; }
  bool has_root() const {
    return operation == collectives::Operation::broadcast ||
           operation == collectives::Operation::reduce;
  }
};

// All errors at once.
Result<CollectiveRequest> read_request(const CollectiveWords& words);

}  // namespace railwright::coordinator
