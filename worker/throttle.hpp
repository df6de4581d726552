// Slow links on purpose: to see that they are found.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "topology/result.hpp"
#include "topology/units.hpp"
#include "worker/transport.hpp"

namespace railwright::worker {

// Between two ranks, each direction on its own.
struct Throttle {
  int a = 0, b = 0;
  Bandwidth rate;
  bool operator==(const Throttle&) const = default;
};

// "0:2=50MB/s"
tl::expected<Throttle, ConfigError> parse_throttle(const std::string& text);
// Ranks that are none: an error each.
Errors why_not_throttle(const std::vector<Throttle>& throttles, int ranks);

// As `inner`, but a message between the two ranks of a throttle leaves only after the messages
// before it and itself have gone through a link of that rate. `inner` must outlive it.
std::unique_ptr<Transport> make_throttled_transport(Transport& inner,
                                                    const std::vector<Throttle>& throttles);

}  // namespace railwright::worker
