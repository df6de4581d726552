// The elements of a typed graph: the links that its bundles are of.
#include "emulator/step/folding/typed_graph.hpp"

namespace railwright::emulator {
namespace {

using topology::LinkId;

class ElementMaker {
 public:
  ElementMaker(TypedGraph& made, const topology::Router& router, const StepFaults& faults)
      : made_(made), router_(router), graph_(router.cluster().graph), faults_(faults) {}

  void make() {
    find_elements();
    if (!made_.divided.empty()) divide_uses();
    for (TypedGraph::Use& use : made_.uses)
      if (made_.divided.empty()) use.end = made_.element_of[use.end];
  }

 private:
  void find_elements() {
    for (const LinkDegradation& fault : faults_.links) {
      const auto until = fault.until.value_or(Instant{-1});
      Colour& state = fault_colour_[fault.link.index];
      for (const Colour part : {Colour(fault.from.picoseconds), Colour(until.picoseconds),
                                std::bit_cast<Colour>(fault.factor)})
        state = joined(state, part);
    }
    constexpr int used = 0;
    made_.element_of = BundleTable(router_.bundles());
    for (const TypedGraph::Use& use : made_.uses) made_.element_of.at(use.end) = used;
    std::size_t most = 0;
    made_.element_of.for_set([&](int, int) { ++most; });
    made_.element.reserve(most);
    made_.elements.reserve(most);
    made_.element_of.for_set([&](int bundle, int& element) {
      if (router_.is_link({bundle}))
        element = add_element({{bundle}, 1, -1});
      else
        divide(bundle);
    });
  }

  int add_element(const TypedGraph::Element& element) {
    const int link = element.first.index;
    Colour colour =
        joined(graph_.link_class[link], colour_of(graph_.capacity({link}).bytes_per_second));
    if (const auto fault = fault_colour_.find(link); fault != fault_colour_.end())
      colour = joined(colour, fault->second);
    made_.element.push_back(element);
    made_.elements.push_back(colour);
    return static_cast<int>(made_.element.size()) - 1;
  }

  bool is_apart(LinkId link) const {
    return made_.element_of[link.index] >= 0 || fault_colour_.contains(link.index) ||
           graph_.lanes.contains(link.index);
  }

  void divide(int bundle) {
    std::vector<LinkId> links;
    router_.append_links_of({bundle}, links);
    std::vector<int> parts;
    TypedGraph::Element rest{{}, 0, bundle};
    for (const LinkId link : links) {
      if (!is_apart(link)) {
        if (rest.links++ == 0) rest.first = link;
        continue;
      }
      int& element = made_.element_of.at(link.index);
      if (element < 0) element = add_element({link, 1, -1});
      parts.push_back(element);
    }
    if (rest.links > 0) parts.push_back(add_element(rest));
    made_.element_of.at(bundle) = parts.size() == 1 ? parts.front() : -2;
    if (parts.size() > 1) made_.divided.emplace(bundle, std::move(parts));
  }

  void divide_uses() {
    std::vector<TypedGraph::Use> uses;
    for (std::size_t m = 0; m < made_.meetings.size(); ++m) {
      const std::size_t first = made_.first_use[m], end = made_.first_use[m + 1];
      made_.first_use[m] = uses.size();
      for (std::size_t u = first; u < end; ++u) {
        const auto [bundle, weight] = made_.uses[u];
        if (made_.element_of[bundle] >= 0) uses.push_back({made_.element_of[bundle], weight});
        if (made_.element_of[bundle] == -2)
          for (const int part : made_.divided.at(bundle)) uses.push_back({part, weight});
      }
    }
    made_.first_use.back() = uses.size();
    made_.uses = std::move(uses);
  }

  TypedGraph& made_;
  const topology::Router& router_;
  const topology::Graph& graph_;
  const StepFaults& faults_;
  std::map<int, Colour> fault_colour_;  // per link with faults
};

}  // namespace

void find_elements(TypedGraph& graph, const topology::Router& router, const StepFaults& faults) {
  ElementMaker(graph, router, faults).make();
}

}  // namespace railwright::emulator
