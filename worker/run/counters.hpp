// What the network hardware of this machine has counted itself, from sysfs.
#pragma once

#include <string>
#include <vector>

#include "telemetry/telemetry.hpp"

namespace railwright::worker {

// One sample per port, source "measured", class "net" or "infiniband", link "eth0" or "mlx5_0/1";
// in the order of their names. The loopback interface is left out. `root` is where sysfs is
// mounted; what is not there or not readable is left out.
std::vector<telemetry::LinkSample> port_counters(const std::string& root);

}  // namespace railwright::worker
