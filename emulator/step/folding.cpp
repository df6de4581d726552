#include "emulator/step/folding.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <thread>

#include "emulator/step/folding/typed_graph.hpp"

namespace railwright::emulator {
namespace {

constexpr std::size_t worth_a_thread = 1 << 20;  // uses of links

class Refinement {
 public:
  Refinement(TypedGraph graph, const RankTable& table) : graph_(std::move(graph)), table_(table) {}

  void run();
  // Of all ranks; `periods`: those that the graph is made of.
  Folding take(const topology::Router& router, const Programs& programs,
               const Periods* periods) const;

 private:
  std::int64_t classes() const;
  void refine();
  void refine_ranks(std::vector<Colour>& ranks) const;
  void refine_loads();
  struct Seen {  // of an element
    Colour colour, links;
  };
  void see(std::size_t first, std::size_t end, const std::vector<Seen>& elements,
           const std::vector<Colour>& weights, std::vector<Colour>& users);
  void refine_meetings();
  Colour members_of_group(int dimension, std::int64_t group) const;
  void name_links(const topology::Router& router, const Periods* periods,
                  Folding::LinkClasses& links) const;

  TypedGraph graph_;
  const RankTable& table_;
};

void Refinement::refine_ranks(std::vector<Colour>& ranks) const {
  for (std::size_t r = 0; r < ranks.size(); ++r)
    for (int d = 0; d < dimension_count; ++d) {
      const auto group =
          static_cast<std::size_t>(table_.groups[d].group_of(static_cast<std::int64_t>(r)));
      ranks[r] = joined(ranks[r], graph_.meetings[graph_.first_group[d] + group]);
    }
  for (std::size_t s = 0; s < graph_.sendings.size(); ++s) {
    const Colour colour = graph_.meetings[graph_.first_sending + s];
    ranks[graph_.sendings[s].source] += mixed(colour ^ 1);
    ranks[graph_.sendings[s].target] += mixed(colour ^ 2);
  }
}

// A meeting sees every link of an element, a link every meeting that loads it. Two threads share
// the meetings: sums of whole numbers are the same in any order.
void Refinement::refine_loads() {
  std::vector<Colour> weights;  // as `joined` mixes them
  for (const Colour weight : graph_.weights) weights.push_back(mixed(weight));
  std::vector<Seen> elements;
  elements.reserve(graph_.element.size());
  for (std::size_t e = 0; e < graph_.element.size(); ++e)
    elements.push_back({graph_.elements[e], static_cast<Colour>(graph_.element[e].links)});
  std::vector<Colour> users(elements.size(), 0);
  const std::size_t half =
      std::ranges::lower_bound(graph_.first_use, graph_.uses.size() / 2) - graph_.first_use.begin();
  const std::size_t all = graph_.meetings.size();
  if (graph_.uses.size() < worth_a_thread) {
    see(0, all, elements, weights, users);
  } else {
    std::vector<Colour> others(elements.size(), 0);
    {
      const std::jthread thread([&] { see(std::min(half, all), all, elements, weights, others); });
      see(0, std::min(half, all), elements, weights, users);
    }
    for (std::size_t e = 0; e < elements.size(); ++e) users[e] += others[e];
  }
  for (std::size_t e = 0; e < elements.size(); ++e)
    graph_.elements[e] = joined(elements[e].colour, users[e]);
}

// Meetings from `first` up to `end`.
void Refinement::see(std::size_t first, std::size_t end, const std::vector<Seen>& elements,
                     const std::vector<Colour>& weights, std::vector<Colour>& users) {
  for (std::size_t m = first; m < end; ++m) {
    Colour& meeting = graph_.meetings[m];
    Colour sum = 0;
    for (std::size_t u = graph_.first_use[m]; u < graph_.first_use[m + 1]; ++u) {
      const TypedGraph::Use& use = graph_.uses[u];
      const Seen& element = elements[static_cast<std::size_t>(use.end)];
      const Colour weight = weights[static_cast<std::size_t>(use.weight)];
      sum += element.links * mixed(element.colour ^ weight);
      users[static_cast<std::size_t>(use.end)] += mixed(meeting ^ weight);
    }
    meeting = joined(meeting, sum);
  }
}

void Refinement::refine_meetings() {
  for (int d = 0; d < dimension_count; ++d)
    for (std::int64_t group = 0; group < table_.groups[d].count; ++group) {
      Colour& colour = graph_.meetings[graph_.first_group[d] + static_cast<std::size_t>(group)];
      colour = joined(colour, members_of_group(d, group));
    }
  for (std::size_t s = 0; s < graph_.sendings.size(); ++s) {
    const auto& [source, target] = graph_.sendings[s];
    Colour& colour = graph_.meetings[graph_.first_sending + s];
    colour = joined(colour, joined(graph_.ranks[source], graph_.ranks[target]));
  }
}

Colour Refinement::members_of_group(int dimension, std::int64_t group) const {
  const GroupTable& groups = table_.groups[dimension];
  Colour sum = 0;
  for (std::int64_t i = 0; i < groups.degree; ++i)
    sum += mixed(graph_.ranks[groups.first(group) + i * groups.stride]);
  return sum;
}

// A round replaces every colour by itself and what its element sees, so classes only split.
void Refinement::refine() {
  std::vector<Colour> ranks = graph_.ranks;
  refine_ranks(ranks);
  refine_loads();
  refine_meetings();
  graph_.ranks = std::move(ranks);
}

std::int64_t Refinement::classes() const {
  std::int64_t count = 0;
  for (const auto* colours : {&graph_.ranks, &graph_.elements, &graph_.meetings}) {
    ColourNumbers numbers;
    for (const Colour colour : *colours) numbers.number_of(colour);
    count += numbers.count();
  }
  return count;
}

// To stability or not at all: a partition that is not equitable is silently wrong.
void Refinement::run() {
  for (std::int64_t before = 0, now = classes(); now != before;) {
    before = now;
    refine();
    now = classes();
  }
}

Folding::Classes classes_of(std::span<const Colour> colours) {
  Folding::Classes classes;
  ColourNumbers numbers;
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const int number = numbers.number_of(colours[i]);
    if (number == classes.count()) {
      classes.first.push_back(static_cast<std::int64_t>(i));
      classes.size.push_back(0);
    }
    ++classes.size[number];
    classes.of.push_back(number);
  }
  return classes;
}

// Of `count` things, of which each is as one of those that the classes are of.
template <class As>
Folding::Classes spread(const Folding::Classes& classes, std::int64_t count, As as) {
  Folding::Classes all;
  std::vector<int> number(classes.first.size(), -1);
  all.of.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    int& own = number[classes.of[as(i)]];
    if (own < 0) {
      own = all.count();
      all.first.push_back(i);
      all.size.push_back(0);
    }
    ++all.size[own];
    all.of.push_back(own);
  }
  return all;
}

Folding Refinement::take(const topology::Router& router, const Programs& programs,
                         const Periods* periods) const {
  Folding folding;
  folding.ranks = classes_of(graph_.ranks);
  if (periods != nullptr)
    folding.ranks = spread(folding.ranks, programs.ranks(),
                           [&](std::int64_t rank) { return periods->seat_of(rank); });
  const std::span<const Colour> meetings(graph_.meetings);
  for (int d = 0; d < dimension_count; ++d) {
    const GroupTable& looked_at = table_.groups[d];
    folding.groups[d] = classes_of(
        meetings.subspan(graph_.first_group[d], static_cast<std::size_t>(looked_at.count)));
    if (periods == nullptr) continue;
    const GroupTable& groups = programs.groups[d];
    folding.groups[d] = spread(folding.groups[d], groups.count, [&](std::int64_t group) {
      return looked_at.group_of(periods->seat_of(groups.first(group)));
    });
  }
  name_links(router, periods, folding.links);
  return folding;
}

void Refinement::name_links(const topology::Router& router, const Periods* periods,
                            Folding::LinkClasses& links) const {
  const Folding::Classes classes = classes_of(graph_.elements);
  links.sets.resize(classes.first.size());
  std::vector<topology::LinkId> held;
  for (std::size_t e = 0; e < graph_.element.size(); ++e) {
    const TypedGraph::Element& element = graph_.element[e];
    collectives::LinkSet& set = links.sets[classes.of[e]];
    set.count += element.links * (periods != nullptr ? periods->copies() : 1);
    if (periods == nullptr && set.lowest.size() >= collectives::LinkSet::most_named) continue;
    held.assign(1, element.first);
    if (element.bundle >= 0) {
      held.clear();
      router.append_links_of({element.bundle}, held);
      std::erase_if(held,
                    [&](topology::LinkId link) { return graph_.element_of[link.index] >= 0; });
    }
    if (periods != nullptr) {
      for (const topology::LinkId link : held) periods->name(link, router, set);
      continue;
    }
    const std::size_t room = collectives::LinkSet::most_named - set.lowest.size();
    held.resize(std::min(room, held.size()));
    set.lowest.insert(set.lowest.end(), held.begin(), held.end());
  }
  links.of_bundle = graph_.element_of;
  links.of_bundle.for_set([&](int, int& element) {
    if (element >= 0) element = classes.of[element];
  });
  for (const auto& [bundle, parts] : graph_.divided) {
    std::map<int, int> count;
    for (const int element : parts) count[classes.of[element]] += graph_.element[element].links;
    for (const auto& [set, number] : count) links.parts[bundle].push_back({set, number});
  }
  for (std::size_t set = 0; set < links.sets.size(); ++set)
    links.named[links.sets[set].lowest.front()] = static_cast<int>(set);
  if (periods != nullptr) links.stands_for = periods->stands_for();
}

Folding::Classes each_alone(std::int64_t count) {
  Folding::Classes classes;
  for (std::int64_t i = 0; i < count; ++i) {
    classes.of.push_back(static_cast<int>(i));
    classes.first.push_back(i);
    classes.size.push_back(1);
  }
  return classes;
}

}  // namespace

Traits traits_of(const std::vector<std::int64_t>& ranks, const Plan& plan,
                 const topology::Cluster& cluster, const StepFaults& faults) {
  Traits traits{{}, {SpeedCourse()}};
  std::map<topology::AcceleratorId, int> course_of;
  for (const auto& [accelerator, course] : speed_courses(faults.accelerators)) {
    const auto known = std::ranges::find(traits.courses, course);
    course_of[accelerator] = static_cast<int>(known - traits.courses.begin());
    if (known == traits.courses.end()) traits.courses.push_back(course);
  }
  for (const std::int64_t rank : ranks) {
    const auto where = accelerator_of(rank, plan.placement, plan.degrees);
    const auto course = course_of.find(where);
    traits.ranks.push_back({cluster.spec.nodes[cluster.group_of(where)].accelerator_kind,
                            course == course_of.end() ? 0 : course->second});
  }
  return traits;
}

Folding unfolded(const Programs& programs) {
  Folding folding;
  folding.ranks = each_alone(programs.ranks());
  for (int d = 0; d < dimension_count; ++d)
    folding.groups[d] = each_alone(programs.groups[d].count);
  return folding;
}

bool Folding::stands(topology::LinkId link) const {
  if (!folds_links()) return true;
  return links.of_bundle[link.index] < 0 || links.named.contains(link);
}

std::int64_t Folding::count_of(topology::LinkId link) const {
  const auto set = links.named.find(link);
  return set == links.named.end() ? 1 : links.sets[set->second].count;
}

Result<Folding> folded(const Programs& programs, const Plan& plan, const LiveRoutes& routes,
                       const topology::Calibration& calibration, const StepFaults& faults,
                       std::int64_t most_looked_at) {
  const topology::Router& router = routes.router(0);
  const auto periods = Periods::of(programs, plan, router, faults);
  if (periods && periods->seats().ranks() <= most_looked_at)
    if (auto graph = typed_graph_of(programs, plan, routes, calibration, faults, &*periods)) {
      Refinement refinement(std::move(*graph), periods->seats());
      refinement.run();
      return refinement.take(router, programs, &*periods);
    }
  if (programs.ranks() > most_looked_at)
    return failure({}, fmt::format("{} ranks have to be looked at, one by one", programs.ranks()),
                   {});
  auto graph = typed_graph_of(programs, plan, routes, calibration, faults, nullptr);
  if (!graph)
    return failure({},
                   fmt::format("the routes of {} ranks load more than {} links in all",
                               programs.ranks(), most_uses),
                   "use fewer accelerators, or a routing of one path (d_mod_k) in the cluster");
  Refinement refinement(std::move(*graph), programs);
  refinement.run();
  return refinement.take(router, programs, nullptr);
}

}  // namespace railwright::emulator
