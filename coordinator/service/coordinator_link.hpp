// A leader's side of the protocol of wire/frame.hpp: keeps a connection to the coordinator,
// whatever becomes of it, asks for the lease, and hears commands.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/wire/frame.hpp"

namespace railwright::coordinator {

struct LinkSettings {
  std::string data;   // DATA/address and DATA/certificate.pem are read before each connection
  wire::Hello hello;  // the first word
  std::function<std::int64_t()> asked_at;    // the leader's clock
  std::function<std::int64_t()> steps_done;  // progress, up to what is stored
  // All three are called on the link's thread.
  std::function<void(std::int64_t asked_at, wire::Verdict verdict)> answered;
  std::function<void(wire::Verb verb)> commanded;  // once for each command
};

class CoordinatorLink {
 public:
  // Its thread takes no signals.
  explicit CoordinatorLink(LinkSettings settings);
  ~CoordinatorLink();
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;

  // Says how the run has ended until the coordinator has answered; no more heartbeats follow. False
  // when there is no answer in time.
  bool report(wire::Report report, std::int64_t timeout_ms);

 private:
  class Talk;
  std::unique_ptr<Talk> talk_;
};

}  // namespace railwright::coordinator
