// Seconds by cause of blame, as numbers that can be added up a thousand times a second.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "topology/topology.hpp"
#include "workload/roofline.hpp"

namespace railwright::coordinator {

// The causes a price can name; link classes of the cluster follow the fixed ones. The closed form
// knows no interference, emulated plans do.
enum class Cause : std::uint8_t {
  tensor_peak,
  tensor_inefficiency,
  hbm,
  launch,
  host,
  link_latency,
  software_latency,
  pipeline_bubble,
  interference,
};
inline constexpr std::size_t fixed_causes = 9;

class CauseSeconds {
 public:
  explicit CauseSeconds(std::size_t link_classes = 0) : seconds_(fixed_causes + link_classes, 0) {}
  double& of(Cause cause) { return seconds_[static_cast<std::size_t>(cause)]; }
  double of(Cause cause) const { return seconds_[static_cast<std::size_t>(cause)]; }
  double& of_link_class(std::size_t index) { return seconds_[fixed_causes + index]; }
  void add(const CauseSeconds& other, double times = 1);
  void add(const workload::ComputeTime& time);
  void add(const std::string& cause, Seconds time, const topology::Graph& graph);  // by its name
  double total() const;
  // With the names that blame uses; causes without time are left out.
  std::vector<std::pair<std::string, Seconds>> named(const topology::Graph& graph) const;
  bool operator==(const CauseSeconds&) const = default;

 private:
  std::vector<double> seconds_;
};

}  // namespace railwright::coordinator
