#include <fmt/format.h>

#include <algorithm>

#include "coordinator/collective/output.hpp"

namespace railwright::coordinator {
namespace {

using collectives::Operation;

int nodes_of(const CollectiveRequest& request) {
  std::vector<int> nodes;
  for (const topology::AcceleratorId member : request.members)
    if (const int node = request.cluster.node_of(member); nodes.empty() || nodes.back() != node)
      nodes.push_back(node);
  std::ranges::sort(nodes);
  return static_cast<int>(std::unique(nodes.begin(), nodes.end()) - nodes.begin());
}

std::string range_of(Bytes first, Bytes last) {
  return first == last ? to_string(first)
                       : fmt::format("{} to {}", to_string(first), to_string(last));
}

// Neighbouring sizes with the same reason share a sentence.
void add_reasons(const CollectiveRequest& request, const Sweep& sweep, std::size_t wanted,
                 std::vector<std::string>& notes) {
  const std::size_t step = request.wanted.size(), sizes = request.sizes.size();
  const auto row = [&](std::size_t i) -> const Row& { return sweep.rows[i * step + wanted]; };
  for (std::size_t first = 0; first < sizes;) {
    std::size_t last = first;
    while (last + 1 < sizes && row(last + 1).choice.why == row(first).choice.why) ++last;
    notes.push_back(fmt::format("{}, {}: {}", request.wanted[wanted].word,
                                range_of(row(first).size.sent, row(last).size.sent),
                                row(first).choice.why));
    first = last + 1;
  }
}

}  // namespace

std::string title_of(const CollectiveRequest& request) {
  const int nodes = nodes_of(request);
  return fmt::format("{} over {} ranks on {} node{} of {}", to_string(request.operation),
                     request.ranks(), nodes, nodes == 1 ? "" : "s", request.cluster.spec.name);
}

std::vector<std::string> notes_of(const CollectiveRequest& request, const Sweep& sweep) {
  std::vector<std::string> notes;
  for (std::size_t w = 0; w < request.wanted.size(); ++w)
    if (request.wanted[w].rule != Rule::named) add_reasons(request, sweep, w, notes);
  if (request.shuffled)
    notes.push_back(fmt::format("ranks in random order, seed {}", *request.shuffled));
  for (const MessageSize& size : request.sizes)
    if (size.asked != size.sent) {
      notes.push_back(fmt::format("{} B asked, {} B sent: sizes are whole elements of {} B",
                                  size.asked.count, size.sent.count, request.type.bytes));
      if (request.sizes.size() > 1) notes.back() += "; others are rounded down alike";
      break;
    }
  if (!request.bounded)
    notes.emplace_back("no bound was looked for; --bound always does, in some seconds");
  if (request.sizes.front().sent.count == 0)
    notes.push_back("0 B carry nothing: their time is latency alone");
  return notes;
}

std::string limit_of(const CollectiveRequest& request, const Row& row) {
  const topology::LinkId link = row.result.limiting_link;
  if (link.index < 0) return "latency";
  return fmt::format("{} ({})", row.result.limiting_link_class,
                     request.cluster.graph.name_of(link));
}

const Row& fastest_of(const CollectiveRequest& request, const Sweep& sweep, std::size_t size) {
  const auto first = sweep.rows.begin() + static_cast<std::ptrdiff_t>(size * request.wanted.size());
  return *std::min_element(first, first + static_cast<std::ptrdiff_t>(request.wanted.size()),
                           [](const Row& a, const Row& b) { return a.time() < b.time(); });
}

std::string nccl_name(const collectives::nccl::Choice& choice) {
  return to_string(choice.algorithm) + "/" + to_string(choice.protocol);
}

}  // namespace railwright::coordinator
