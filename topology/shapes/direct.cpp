#include "topology/shapes/direct.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <functional>
#include <numeric>

namespace railwright::topology {

void Star::add_links(const LinkSink& sink) const {
  for (int e = 0; e < endpoints; ++e) sink.duplex(e, endpoints, link_class);
}

void Star::next(int site, int target, std::vector<Hop>& hops) const {
  hops.push_back({site == endpoints ? target : endpoints});
}

void FullMesh::add_links(const LinkSink& sink) const {
  for (int a = 0; a < endpoints; ++a)
    for (int b = a + 1; b < endpoints; ++b) sink.duplex(a, b, link_class);
}

void FullMesh::next(int, int target, std::vector<Hop>& hops) const { hops.push_back({target}); }

namespace {

// Dimensions so ordered that each comes before those its closing shifts; shorter when they chain
// in a circle.
std::vector<int> order_of_reduction(int dimensions, const std::vector<Twist>& twists) {
  std::vector<int> waiting(dimensions, 0), order;
  for (const Twist& twist : twists) ++waiting[twist.shifts];
  for (int d = 0; d < dimensions; ++d)
    if (waiting[d] == 0) order.push_back(d);
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const Twist& twist : twists)
      if (twist.wrap == order[i] && --waiting[twist.shifts] == 0) order.push_back(twist.shifts);
  return order;
}

int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

}  // namespace

bool Grid::can_twist(int dimensions, const std::vector<Twist>& twists) {
  return static_cast<int>(order_of_reduction(dimensions, twists).size()) == dimensions;
}

Grid::Grid(std::vector<int> dimensions, bool closed, std::vector<Twist> twists, ClassId links)
    : link_class(links),
      dimensions_(std::move(dimensions)),
      closed_(closed),
      twists_(std::move(twists)),
      reduction_order_(order_of_reduction(static_cast<int>(dimensions_.size()), twists_)) {
  assert(dimensions_.size() <= most_dimensions);
  assert(reduction_order_.size() == dimensions_.size());
  endpoints = std::accumulate(dimensions_.begin(), dimensions_.end(), 1, std::multiplies<>());
  if (twisted()) measure_distances();
}

Grid::Position Grid::position_of(int site) const {
  Position position{};
  for (std::size_t d = dimensions_.size(); d-- > 0;) {
    position[d] = site % dimensions_[d];
    site /= dimensions_[d];
  }
  return position;
}

int Grid::site_of(const Position& position) const {
  int site = 0;
  for (std::size_t d = 0; d < dimensions_.size(); ++d) site = site * dimensions_[d] + position[d];
  return site;
}

// Brings a position of the unrolled lattice into the box: going once round dimension d is no move,
// except for the shift of its twists.
void Grid::reduce(Position& position) const {
  for (const int d : reduction_order_) {
    const int rounds = floor_div(position[d], dimensions_[d]);
    if (rounds == 0) continue;
    position[d] -= rounds * dimensions_[d];
    for (const Twist& twist : twists_)
      if (twist.wrap == d) position[twist.shifts] += rounds * twist.by;
  }
}

int Grid::neighbour(int site, int dimension, int step) const {
  Position position = position_of(site);
  position[dimension] += step;
  const bool outside = position[dimension] < 0 || position[dimension] >= dimensions_[dimension];
  if (outside && !closed_) return -1;
  if (outside) reduce(position);
  return site_of(position);
}

void Grid::add_links(const LinkSink& sink) const {
  for (int site = 0; site < endpoints; ++site)
    for (int d = 0; d < static_cast<int>(dimensions_.size()); ++d)
      if (const int up = neighbour(site, d, 1); up >= 0 && up != site)
        sink.duplex(site, up, link_class);
}

std::int64_t Grid::duplex_links() const {
  return std::int64_t{endpoints} * static_cast<std::int64_t>(dimensions_.size());
}

// A twisted torus looks the same from every site, so hops from site 0 tell all distances.
void Grid::measure_distances() {
  constexpr int unknown = -1;
  from_origin_.assign(endpoints, unknown);
  from_origin_[0] = 0;
  std::vector<int> queue{0};
  for (std::size_t i = 0; i < queue.size(); ++i)
    for (int d = 0; d < static_cast<int>(dimensions_.size()); ++d)
      for (const int step : {1, -1}) {
        const int site = neighbour(queue[i], d, step);
        if (from_origin_[site] != unknown) continue;
        from_origin_[site] = from_origin_[queue[i]] + 1;
        queue.push_back(site);
      }
}

int Grid::distance(int site, int target) const {
  Position difference = position_of(target);
  const Position start = position_of(site);
  int hops = 0;
  for (std::size_t d = 0; d < dimensions_.size(); ++d) {
    difference[d] -= start[d];
    const int straight = std::abs(difference[d]);
    hops += closed_ ? std::min(straight, dimensions_[d] - straight) : straight;
  }
  if (!twisted()) return hops;
  reduce(difference);
  return from_origin_[site_of(difference)];
}

void Grid::next(int site, int target, std::vector<Hop>& hops) const {
  const int remaining = distance(site, target);
  for (int d = 0; d < static_cast<int>(dimensions_.size()); ++d)
    for (const int step : {1, -1}) {
      const int near = neighbour(site, d, step);
      if (near < 0 || distance(near, target) != remaining - 1) continue;
      const auto known = std::find_if(hops.begin(), hops.end(),
                                      [near](const Hop& hop) { return hop.site == near; });
      if (known == hops.end())
        hops.push_back({near, d});
      else
        ++known->weight;  // another lane, as both ways round a dimension of two
    }
}

}  // namespace railwright::topology
