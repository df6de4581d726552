#include "topology/bisection/closed_form.hpp"

#include <algorithm>
#include <limits>

namespace railwright::topology {

namespace {

// Endpoints on leaves of `size`, the last leaf perhaps smaller, below something that carries all
// uplinks at once.
struct Leaves {
  int endpoints = 0;
  int size = 1;
  Bandwidth down;  // of one endpoint
  Bandwidth up;    // of one leaf

  int full() const { return endpoints / size; }
  int last() const { return endpoints % size; }

  // `inside` of a leaf's `all` endpoints are in the half without the spines; the leaf itself is on
  // the cheaper side.
  Bandwidth cut(int inside, int all) const {
    return std::min(inside * down, up + (all - inside) * down);
  }
  // With `inside` endpoints on so many leaves of full size. The cut is concave in what each leaf
  // has inside, so the best filling has at most one leaf in part.
  Bandwidth on_full_leaves(int inside) const {
    return inside / size * cut(size, size) + cut(inside % size, size);
  }
  Bandwidth filled(int inside) const {
    const int room = full() * size;
    Bandwidth best{std::numeric_limits<double>::infinity()};
    if (inside <= room) best = on_full_leaves(inside);
    for (int here = inside % size; here <= std::min(last(), inside); here += size)
      best = std::min(best, cut(here, last()) + (inside - here) / size * cut(size, size));
    if (inside >= last() && inside - last() <= room)
      best = std::min(best, cut(last(), last()) + on_full_leaves(inside - last()));
    return best;
  }
};

Bandwidth best_filling(const Leaves& leaves) {
  const int half = leaves.endpoints / 2;
  return std::min(leaves.filled(half), leaves.filled(leaves.endpoints - half));
}

class ClosedForm {
 public:
  ClosedForm(const Cluster& cluster, const Layout& layout) : cluster_(cluster), layout_(layout) {}

  std::optional<Bisection> bisection() const {
    if (layout_.groups.size() != 1 || !cluster_.spec.links.empty()) return {};
    const GroupLayout& group = layout_.groups.front();
    if (layout_.networks.empty()) {
      if (group.nodes != 1 || group.scale_up.empty()) return {};
      return of_endpoints(group.scale_up.front());
    }
    if (layout_.networks.size() != 1) return {};
    const Fabric& fabric = layout_.networks.front().fabric;
    const bool joined = !group.scale_up.empty() && group.accelerators > 1;
    if (joined) return group.nics > 0 && whole_nodes_are_best() ? of_nodes(fabric) : std::nullopt;
    if (group.nics == 0) return of_endpoints(fabric);
    return halves_whole_nics() ? of_nics(fabric) : std::nullopt;
  }

 private:
  static Bisection exact(Bandwidth bandwidth, std::string shape) {
    return {bandwidth, true, "closed form (" + shape + ")"};
  }
  Bandwidth capacity(ClassId c) const { return cluster_.spec.link_classes[c.index].capacity; }

  // Of one NIC between its accelerators and its leaf.
  Bandwidth access(ClassId edge) const {
    const auto& nic = cluster_.spec.nodes.front().nic;
    return nic ? std::min(capacity(nic->pcie), capacity(edge)) : capacity(edge);
  }

  // Above the leaves nothing may be narrower than the leaves.
  bool carries_all(const Clos& clos) const {
    return clos.tiers == 2 || capacity(clos.core) >= capacity(clos.spine);
  }
  static std::string name_of(const Clos& clos) {
    return clos.rails > 1 ? "rail fat-tree" : "fat-tree";
  }
  Leaves leaves_of(const Clos& clos, int endpoints) const {
    return {endpoints, clos.members_per_unit, access(clos.edge),
            clos.uplinks * capacity(clos.spine)};
  }

  // Making a split node whole moves x accelerators' worth of NICs across at most twice the smaller
  // part; that pays when the scale-up links cut are twice as fast as the NICs.
  bool whole_nodes_are_best() const {
    const GroupLayout& group = layout_.groups.front();
    if (group.nodes % 2 != 0) return false;
    const Bandwidth nic = access(cluster_.spec.networks.front().edge_class);
    const Fabric& inside = group.scale_up.front();
    if (const auto* star = std::get_if<Star>(&inside)) return capacity(star->link_class) >= 2 * nic;
    if (const auto* mesh = std::get_if<FullMesh>(&inside))
      return (mesh->endpoints + 1) / 2 * capacity(mesh->link_class) >= 2 * nic;
    return false;
  }
  bool halves_whole_nics() const {
    const int n = cluster_.accelerators(), sharing = layout_.groups.front().sharing;
    return sharing == 1 || (n % 2 == 0 && n / 2 % sharing == 0);
  }

  std::optional<Bisection> of_nodes(const Fabric& fabric) const {
    const GroupLayout& group = layout_.groups.front();
    if (const auto* star = std::get_if<Star>(&fabric))
      return exact(group.nodes / 2 * group.nics * access(star->link_class), "switch");
    const auto* clos = std::get_if<Clos>(&fabric);
    if (clos == nullptr || !carries_all(*clos)) return {};
    // Every rail cuts alike: rail leaves hold one NIC of each node.
    if (clos->rails > 1)
      return exact(clos->rails * leaves_of(*clos, group.nodes).filled(group.nodes / 2),
                   name_of(*clos));
    const bool whole = clos->members_per_unit % group.nics == 0 ||  // nodes on a leaf, or
                       group.nics % clos->members_per_unit == 0;    // leaves on a node
    if (!whole) return {};
    return exact(leaves_of(*clos, clos->endpoints).filled(clos->endpoints / 2), name_of(*clos));
  }

  std::optional<Bisection> of_nics(const Fabric& fabric) const {
    if (const auto* star = std::get_if<Star>(&fabric))
      return exact(star->endpoints / 2 * access(star->link_class), "switch");
    if (const auto* clos = std::get_if<Clos>(&fabric)) return of_clos(*clos);
    return {};
  }

  std::optional<Bisection> of_clos(const Clos& clos) const {
    if (!carries_all(clos)) return {};
    if (clos.rails > 1 && clos.members() % clos.members_per_unit != 0) return {};
    return exact(best_filling(leaves_of(clos, clos.endpoints)), name_of(clos));
  }

  std::optional<Bisection> of_grid(const Grid& grid) const {
    if (grid.twisted()) return {};
    std::vector<int> sizes = grid.dimensions();
    std::sort(sizes.rbegin(), sizes.rend());
    std::int64_t links = 0, product = grid.endpoints;
    for (const int size : sizes) {
      if (size == 1) break;
      product /= size;
      links += product;
      if (size % 2 == 0) break;
    }
    const std::string shape = sizes.size() == 1 && grid.closed() ? "ring"
                              : grid.closed()                    ? "torus"
                                                                 : "mesh";
    const double both_ways_round = grid.closed() ? 2 : 1;
    return exact(both_ways_round * static_cast<double>(links) * capacity(grid.link_class), shape);
  }

  std::optional<Bisection> of_endpoints(const Fabric& fabric) const {
    if (const auto* star = std::get_if<Star>(&fabric))
      return exact(star->endpoints / 2 * capacity(star->link_class), "switch");
    if (const auto* mesh = std::get_if<FullMesh>(&fabric)) {
      const double half = mesh->endpoints / 2;
      return exact(half * (mesh->endpoints - half) * capacity(mesh->link_class), "full mesh");
    }
    if (const auto* grid = std::get_if<Grid>(&fabric)) return of_grid(*grid);
    if (const auto* clos = std::get_if<Clos>(&fabric)) return of_clos(*clos);
    return {};
  }

  const Cluster& cluster_;
  const Layout& layout_;
};

}  // namespace

std::optional<Bisection> closed_form_bisection(const Cluster& cluster, const Layout& layout) {
  return ClosedForm(cluster, layout).bisection();
}

}  // namespace railwright::topology
