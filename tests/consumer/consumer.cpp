// A program of somebody else: uses the installed libraries only.
#include <emulator/emulator.hpp>
#include <iostream>

int main() {
  using namespace railwright;
  const auto cluster = topology::load_cluster("dgx-h100-4");
  if (!cluster) {
    std::cerr << to_string(cluster.error());
    return 1;
  }
  const topology::Router router(*cluster);
  const topology::Route route =
      router.between(topology::AcceleratorId{0}, topology::AcceleratorId{8});
  std::cout << cluster->accelerators() << " accelerators, " << route.links.size()
            << " links from the first node to the second\n";
  return route.empty() ? 1 : 0;
}
