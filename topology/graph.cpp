#include "topology/graph.hpp"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <functional>

namespace railwright::topology {

namespace {

int block_index(const std::vector<VertexBlock>& blocks, VertexId v) {
  const auto after =
      std::upper_bound(blocks.begin(), blocks.end(), v.index,
                       [](int index, const VertexBlock& b) { return index < b.first; });
  assert(after != blocks.begin());
  return static_cast<int>(after - blocks.begin()) - 1;
}

// The offset in mixed radix, most significant digit first.
std::vector<int> digits_of(int offset, const std::vector<int>& radix) {
  std::vector<int> digits(radix.size());
  for (std::size_t i = radix.size(); i-- > 0;) {
    digits[i] = offset % radix[i];
    offset /= radix[i];
  }
  return digits;
}

std::string filled(std::string_view pattern, const std::vector<int>& digits) {
  std::string name;
  for (const int digit : digits) {
    const auto hole = pattern.find("{}");
    name.append(pattern.substr(0, hole)).append(std::to_string(digit));
    pattern.remove_prefix(hole + 2);
  }
  return name.append(pattern);
}

// Removes a number below `limit`, written without leading zeros, from the front of `text`.
std::optional<int> take_number(std::string_view& text, int limit) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc{} || number < 0 || number >= limit || text[0] == '-') return {};
  if (length > 1 && text[0] == '0') return {};
  text.remove_prefix(length);
  return number;
}

bool take_text(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

std::optional<int> offset_of(const VertexBlock& block, std::string_view name) {
  std::string_view pattern = block.pattern;
  int offset = 0;
  for (const int radix : block.radix) {
    const auto hole = pattern.find("{}");
    if (!take_text(name, pattern.substr(0, hole))) return {};
    pattern.remove_prefix(hole + 2);
    const auto digit = take_number(name, radix);
    if (!digit) return {};
    offset = offset * radix + *digit;
  }
  return name == pattern ? std::optional(offset) : std::nullopt;
}

// Turns counts, shifted by one place, into the first position of each bucket.
void accumulate(std::vector<int>& counts) {
  for (std::size_t i = 1; i < counts.size(); ++i) counts[i] += counts[i - 1];
}

}  // namespace

VertexKind Graph::kind_of(VertexId v) const { return blocks[block_index(blocks, v)].kind; }

std::string Graph::name_of(VertexId v) const {
  const VertexBlock& block = blocks[block_index(blocks, v)];
  return filled(block.pattern, digits_of(v.index - block.first, block.radix));
}

std::string Graph::name_of(LinkId l) const {
  return name_of(source_of(l)) + "->" + name_of(target_of(l));
}

std::optional<VertexId> Graph::vertex_named(std::string_view name) const {
  for (const VertexBlock& block : blocks)
    if (const auto offset = offset_of(block, name)) return VertexId{block.first + *offset};
  return {};
}

std::optional<LinkId> Graph::link_named(std::string_view name) const {
  const auto arrow = name.find("->");
  if (arrow == std::string_view::npos) return {};
  const auto from = vertex_named(name.substr(0, arrow));
  const auto to = vertex_named(name.substr(arrow + 2));
  return from && to ? link_between(*from, *to) : std::nullopt;
}

Bandwidth Graph::capacity(LinkId l) const {
  const Bandwidth one = class_of(l).capacity;
  if (lanes.empty()) return one;
  const auto found = lanes.find(l.index);
  return found == lanes.end() ? one : found->second * one;
}

std::optional<LinkId> Graph::link_between(VertexId from, VertexId to) const {
  const auto begin = target.begin() + first_link[from.index];
  const auto end = target.begin() + first_link[from.index + 1];
  const auto found = std::lower_bound(begin, end, to.index);
  if (found == end || *found != to.index) return {};
  return LinkId{static_cast<int>(found - target.begin())};
}

ClassId GraphBuilder::add_class(LinkClass link_class) {
  graph_.classes.push_back(std::move(link_class));
  assert(graph_.classes.size() <= 65536);
  return {static_cast<std::uint16_t>(graph_.classes.size() - 1)};
}

VertexId GraphBuilder::add_block(VertexKind kind, std::string pattern, std::vector<int> radix) {
  int count = 1;
  for (const int digits : radix) count *= digits;
  assert(count > 0);
  const int first = vertices_;
  graph_.blocks.push_back({first, count, kind, std::move(pattern), std::move(radix)});
  vertices_ += count;
  return {first};
}

void GraphBuilder::add_link(VertexId from, VertexId to, ClassId link_class, int lanes) {
  assert(from != to && lanes > 0 && lanes < 65536);
  pending_.push_back({from.index, to.index, link_class.index, static_cast<std::uint16_t>(lanes)});
}

void GraphBuilder::add_duplex(VertexId a, VertexId b, ClassId link_class, int lanes) {
  add_link(a, b, link_class, lanes);
  add_link(b, a, link_class, lanes);
}

void GraphBuilder::reserve(std::size_t links) { pending_.reserve(links); }

Graph GraphBuilder::build() && {
  fill_links();
  for (int vertex = 0; vertex < vertices_; ++vertex) sort_links_of(vertex);
  if (repeats_ || !lanes_.empty()) merge_lanes();
  graph_.source.resize(graph_.target.size());
  for (int vertex = 0; vertex < vertices_; ++vertex)
    for (const int link : graph_.links_from({vertex})) graph_.source[link] = vertex;
  return std::move(graph_);
}

// By source, in the order of insertion.
void GraphBuilder::fill_links() {
  std::vector<int>& first = graph_.first_link;
  first.assign(static_cast<std::size_t>(vertices_) + 1, 0);
  const bool plain =
      std::ranges::all_of(pending_, [](const auto& link) { return link.lanes == 1; });
  for (const PendingLink& link : pending_) ++first[link.source + 1];
  accumulate(first);
  graph_.target.resize(pending_.size());
  graph_.link_class.resize(pending_.size());
  if (!plain) lanes_.resize(pending_.size());
  std::vector<int> place(first.begin(), first.end() - 1);
  for (const PendingLink& link : pending_) {
    const int at = place[link.source]++;
    graph_.target[at] = link.target;
    graph_.link_class[at] = link.link_class;
    if (!plain) lanes_[at] = link.lanes;
  }
  pending_ = {};
}

// Makers of shapes add them in order; where links are written out they may come in any.
void GraphBuilder::sort_links_of(int vertex) {
  const int first = graph_.first_link[vertex], end = graph_.first_link[vertex + 1];
  const auto begin = graph_.target.begin();
  if (std::is_sorted(begin + first, begin + end, std::less_equal<>())) return;
  std::vector<PendingLink> links;
  for (int l = first; l < end; ++l)
    links.push_back({vertex, graph_.target[l], graph_.link_class[l],
                     lanes_.empty() ? std::uint16_t{1} : lanes_[l]});
  std::ranges::stable_sort(links, {}, &PendingLink::target);
  for (int l = first; l < end; ++l) {
    const PendingLink& link = links[static_cast<std::size_t>(l - first)];
    graph_.target[l] = link.target;
    graph_.link_class[l] = link.link_class;
    if (!lanes_.empty()) lanes_[l] = link.lanes;
    repeats_ = repeats_ || (l > first && graph_.target[l - 1] == link.target);
  }
}

void GraphBuilder::merge_lanes() {
  int kept = 0;
  for (int vertex = 0; vertex < vertices_; ++vertex) {
    const int first = graph_.first_link[vertex], end = graph_.first_link[vertex + 1];
    graph_.first_link[vertex] = kept;
    for (int l = first; l < end; ++l) {
      const int lanes = lanes_.empty() ? 1 : lanes_[l];
      const bool again =
          kept > graph_.first_link[vertex] && graph_.target[kept - 1] == graph_.target[l];
      if (!again) {
        graph_.target[kept] = graph_.target[l];
        graph_.link_class[kept++] = graph_.link_class[l];
      }
      if (again || lanes > 1)
        graph_.lanes.try_emplace(kept - 1, again ? 1 : 0).first->second += lanes;
    }
  }
  graph_.first_link.back() = kept;
  graph_.target.resize(static_cast<std::size_t>(kept));
  graph_.link_class.resize(static_cast<std::size_t>(kept));
}

}  // namespace railwright::topology
