#include "topology/shapes/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace railwright::topology {

namespace {

// The pattern with every number, written out or to be filled in, replaced by one '#'. Only blocks
// with equal skeletons can share a name: "node{}/gpu{}" and "node1{}/gpu{}".
std::string skeleton_of(std::string_view pattern) {
  std::string result;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool hole = pattern.substr(i, 2) == "{}";
    if (hole) ++i;
    if (!hole && !std::isdigit(static_cast<unsigned char>(pattern[i])))
      result += pattern[i];
    else if (result.empty() || result.back() != '#')
      result += '#';
  }
  return result;
}

template <class Named>
void report_equal_names(const std::vector<Named>& list, std::string_view what, Errors& errors) {
  std::vector<const Named*> sorted;
  for (const Named& one : list) sorted.push_back(&one);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Named* a, const Named* b) { return a->name < b->name; });
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i]->name == sorted[i - 1]->name)
      errors.push_back({sorted[i]->place,
                        fmt::format("two {} are called '{}'", what, sorted[i]->name),
                        "give each its own name"});
}

// The first name that two blocks of equal skeleton share.
std::optional<std::string> shared_name(const VertexBlock& a, const VertexBlock& b) {
  const VertexBlock &few = a.count < b.count ? a : b, &many = a.count < b.count ? b : a;
  Graph names, others;
  names.blocks = {few};
  others.blocks = {many};
  for (int v = few.first; v < few.first + few.count; ++v)
    if (auto name = names.name_of(VertexId{v}); others.vertex_named(name)) return name;
  return {};
}

}  // namespace

VertexNames::VertexNames(const ClusterSpec& spec, const Layout& layout) : spec_(spec) {
  const std::size_t shapes = layout.blocks.size() - spec.switches.size();
  shapes_.blocks.assign(layout.blocks.begin(),
                        layout.blocks.begin() + static_cast<std::ptrdiff_t>(shapes));
  for (std::size_t i = 0; i < spec.switches.size(); ++i)
    switches_.emplace_back(spec.switches[i].name, layout.blocks[shapes + i].first);
  std::sort(switches_.begin(), switches_.end());
}

std::optional<VertexId> VertexNames::find(std::string_view name) const {
  const auto found = std::lower_bound(switches_.begin(), switches_.end(), std::pair(name, -1));
  if (found != switches_.end() && found->first == name) return VertexId{found->second};
  return shapes_.vertex_named(name);
}

Errors VertexNames::duplicates() const {
  Errors errors;
  report_equal_names(spec_.nodes, "node groups", errors);
  report_equal_names(spec_.networks, "networks", errors);
  report_equal_names(spec_.switches, "switches", errors);
  for (const SwitchSpec& box : spec_.switches)
    if (shapes_.vertex_named(box.name))
      errors.push_back({box.place,
                        fmt::format("'{}' is already the name of another vertex", box.name),
                        "rename the switch"});
  if (!errors.empty()) return errors;
  const auto& blocks = shapes_.blocks;
  for (std::size_t a = 0; a < blocks.size(); ++a)
    for (std::size_t b = a + 1; b < blocks.size(); ++b)
      if (skeleton_of(blocks[a].pattern) == skeleton_of(blocks[b].pattern))
        if (const auto name = shared_name(blocks[a], blocks[b]))
          errors.push_back({{},
                            fmt::format("two vertices are called '{}'", *name),
                            "rename a node group or a network"});
  return errors;
}

}  // namespace railwright::topology
