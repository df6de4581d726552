#include "topology/bisection/closed_form.hpp"
#include "topology/bisection/search.hpp"

namespace railwright::topology {

Bisection bisection_of(const Cluster& cluster) {
  const Layout layout = layout_of(cluster.spec).value();
  const auto exact = closed_form_bisection(cluster, layout);
  return exact ? *exact : searched_bisection(cluster);
}

}  // namespace railwright::topology
