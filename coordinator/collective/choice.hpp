// Which schedule a collective runs by, and why.
#pragma once

#include "coordinator/collective/request.hpp"

namespace railwright::coordinator {

struct Choice {
  collectives::Schedule schedule;
  std::string by;   // "nccl" or "best"; "" when the algorithm was named
  std::string why;  // in words; "" when the algorithm was named
};

// In the order of the enum: those with a schedule for this operation and these members that this
// machine can emulate. Nothing is synthesized for the answer.
std::vector<collectives::Algorithm> applicable_algorithms(const CollectiveRequest& request);

// What the request says, but a synthesized schedule runs by steps as long as that takes seconds:
// its phases are far from the truth.
emulator::Detail detail_of(const collectives::Schedule& schedule, const CollectiveRequest& request);

class Chooser {
 public:
  // Both must outlive it.
  Chooser(const CollectiveRequest& request, const topology::Router& router);

  // Errors say why not, and name the algorithms that apply.
  Result<Choice> choice(const Wanted& wanted, Bytes size) const;
  // Nothing where no data describe the machine, or NCCL has no model of the operation.
  std::optional<collectives::nccl::Choice> nccl_takes(Bytes size) const;

 private:
  Choice as_nccl(Bytes size) const;
  // The least idle time of all algorithms, synthesis apart.
  Choice fastest_made(Bytes size, const std::string& why) const;
  // That, or what is synthesized for so few ranks where it emulates faster.
  Choice fastest(Bytes size) const;

  const CollectiveRequest& request_;
  const topology::Router& router_;
  std::optional<collectives::nccl::Placement> placement_;
};

}  // namespace railwright::coordinator
