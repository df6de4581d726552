// Finds the vertices that explicit links name, and names that two vertices would share.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "topology/shapes/layout.hpp"

namespace railwright::topology {

class VertexNames {
 public:
  // `spec` and `layout` must outlive it.
  VertexNames(const ClusterSpec& spec, const Layout& layout);
  std::optional<VertexId> find(std::string_view name) const;
  Errors duplicates() const;

 private:
  const ClusterSpec& spec_;
  Graph shapes_;                                            // blocks only
  std::vector<std::pair<std::string_view, int>> switches_;  // written out one by one; sorted
};

}  // namespace railwright::topology
