#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "worker/probe/probe.hpp"

namespace railwright::worker {
namespace {

struct Best {
  Seconds latency;
  Bandwidth bandwidth;
};

Best best_of(const std::vector<PairRecord>& pairs, bool inside) {
  Best best;
  for (const PairRecord& pair : pairs) {
    if (pair.inside != inside) continue;
    const bool first = best.latency.value == 0;
    best.latency = first ? pair.latency : std::min(best.latency, pair.latency);
    best.bandwidth = std::max({best.bandwidth, pair.there, pair.back});
  }
  return best;
}

// Two links lie between any two ranks, from one to the switch and from there to the other.
std::string link_class(const std::string& name, const Best& best) {
  return fmt::format("  {}: {{bandwidth: {:.4g} GB/s, latency: {:.4g} us}}\n", name,
                     in_gigabytes_per_second(best.bandwidth), in_microseconds(0.5 * best.latency));
}

std::string node_group(const std::string& name, std::size_t accelerators,
                       const std::vector<std::string>& hosts, const std::string& accelerator,
                       bool scale_up) {
  std::string text = fmt::format(
      "  - name: {}\n    count: {}\n    accelerator: {}\n    accelerators: {}\n    host: \"{}\"\n",
      name, hosts.size(), accelerator, accelerators, fmt::join(hosts, ","));
  if (scale_up) text += "    scale_up: {shape: switch, link: inside}\n";
  return text;
}

}  // namespace

std::string cluster_text(const std::vector<PairRecord>& pairs, const std::vector<int>& machine_of,
                         const std::vector<std::string>& hosts, const std::string& accelerator) {
  std::map<int, std::vector<int>> ranks_of;
  for (int rank = 0; rank < static_cast<int>(machine_of.size()); ++rank)
    ranks_of[machine_of[rank]].push_back(rank);
  std::map<std::size_t, std::vector<std::string>> hosts_of_size;
  for (const auto& [machine, ranks] : ranks_of)
    hosts_of_size[ranks.size()].push_back(hosts[ranks.front()]);
  const Best inside = best_of(pairs, true), across = best_of(pairs, false);
  std::string text =
      "# Written by railwright-worker probe: the best latency and bandwidth of any pair.\n"
      "schema_version: 1\nname: probed\n\n";
  if (inside.bandwidth > Bandwidth{} || across.bandwidth > Bandwidth{}) text += "link_classes:\n";
  if (inside.bandwidth > Bandwidth{}) text += link_class("inside", inside);
  if (across.bandwidth > Bandwidth{}) text += link_class("across", across);
  text += "\nnodes:\n";
  char letter = 'a';
  for (const auto& [size, names] : hosts_of_size)
    text += node_group(hosts_of_size.size() == 1 ? "node" : std::string("node-") + letter++, size,
                       names, accelerator, size > 1 && inside.bandwidth > Bandwidth{});
  if (across.bandwidth > Bandwidth{})
    text += "\nnetworks:\n  - {name: fabric, shape: switch, link: across}\n";
  return text;
}

}  // namespace railwright::worker
