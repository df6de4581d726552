#include "collectives/bound/column_generation.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace railwright::collectives {

namespace {

constexpr double tolerance = 1e-6, tiny = 1e-9;
constexpr double most_work = 2e9;  // entries of the inverse that are touched

// The simplex method with the inverse of the basis kept; rows are links, columns trees and slacks.
// Capacities are shifted by up to a millionth at random, so that no step has length zero.
class Program {
 public:
  Program(const std::vector<double>& capacity, std::size_t edges, const CheapestColumn& cheapest);
  TreePacking solve(std::size_t most_trees);

 private:
  static constexpr int slack = -1;

  double& inverse(std::size_t row, std::size_t column) { return inverse_[row * rows_ + column]; }
  std::vector<double> uses_of(const SpanningTree& tree) const;
  double cost_of(const std::vector<double>& uses) const;
  void enter(const std::vector<double>& column, int tree, double gain);
  bool enter_slack();
  double value() const;
  double value_of_prices() const;
  TreePacking result();

  const std::vector<double>& given_;
  std::size_t edges_;  // of a tree
  const CheapestColumn& cheapest_;
  std::size_t rows_;
  double scale_ = 0;  // largest capacity
  std::vector<double> capacity_, inverse_, amount_, price_;
  std::vector<int> basis_;  // tree of each row, or slack
  std::vector<SpanningTree> trees_;
  double bound_ = INFINITY, work_ = 0;
};

Program::Program(const std::vector<double>& capacity, std::size_t edges,
                 const CheapestColumn& cheapest)
    : given_(capacity),
      edges_(edges),
      cheapest_(cheapest),
      rows_(capacity.size()),
      inverse_(rows_ * rows_, 0),
      price_(rows_, 0),
      basis_(rows_, slack) {
  for (const double one : capacity) scale_ = std::max(scale_, one);
  std::mt19937_64 random(1);
  for (std::size_t l = 0; l < rows_; ++l) {
    const double shift = static_cast<double>(random() >> 11) * 0x1p-53 * tolerance / 4;
    capacity_.push_back(capacity[l] / scale_ * (1 - shift));
    inverse(l, l) = 1;
  }
  amount_ = capacity_;
}

std::vector<double> Program::uses_of(const SpanningTree& tree) const {
  std::vector<double> uses(rows_, 0);
  for (const SpanningTree::Edge& edge : tree.edges)
    for (const int l : edge.way) uses[l] += 1;
  return uses;
}

double Program::cost_of(const std::vector<double>& uses) const {
  return std::inner_product(uses.begin(), uses.end(), price_.begin(), 0.0);
}

double Program::value() const {
  double sum = 0;
  for (std::size_t r = 0; r < rows_; ++r)
    if (basis_[r] != slack) sum += amount_[r];
  return sum;
}

double Program::value_of_prices() const {
  double sum = 0;
  for (std::size_t l = 0; l < rows_; ++l) sum += std::max(0.0, price_[l]) * capacity_[l];
  return sum;
}

// One step of the method: `gain` is the reduced cost of the column.
void Program::enter(const std::vector<double>& column, int tree, double gain) {
  std::vector<double> direction(rows_, 0);
  for (std::size_t r = 0; r < rows_; ++r)
    for (std::size_t l = 0; l < rows_; ++l)
      if (column[l] != 0) direction[r] += inverse(r, l) * column[l];
  std::size_t leaving = rows_;
  double least = INFINITY;
  for (std::size_t r = 0; r < rows_; ++r)
    if (direction[r] > tiny && amount_[r] / direction[r] < least) {
      least = amount_[r] / direction[r];
      leaving = r;
    }
  if (leaving == rows_) return;
  for (std::size_t l = 0; l < rows_; ++l) inverse(leaving, l) /= direction[leaving];
  for (std::size_t r = 0; r < rows_; ++r) {
    if (r == leaving || std::abs(direction[r]) < 1e-14) continue;
    for (std::size_t l = 0; l < rows_; ++l) inverse(r, l) -= direction[r] * inverse(leaving, l);
    amount_[r] = std::max(0.0, amount_[r] - direction[r] * least);
  }
  amount_[leaving] = least;
  basis_[leaving] = tree;
  for (std::size_t l = 0; l < rows_; ++l) price_[l] += gain * inverse(leaving, l);
  work_ += 2 * static_cast<double>(rows_ * rows_);
}

// A link with a price below zero is better left free.
bool Program::enter_slack() {
  const auto lowest = std::ranges::min_element(price_);
  if (lowest == price_.end() || *lowest > -tiny) return false;
  std::vector<double> column(rows_, 0);
  column[lowest - price_.begin()] = 1;
  enter(column, slack, -*lowest);
  return true;
}

TreePacking Program::solve(std::size_t most_trees) {
  if (rows_ == 0 || scale_ == 0) return {};
  while (work_ < most_work && trees_.size() < most_trees) {
    if (enter_slack()) continue;
    std::vector<double> price = price_;
    for (double& p : price) p = std::max(p, 0.0) + tiny / 1000;  // the shorter of two free ways
    SpanningTree tree = cheapest_(price);
    if (tree.edges.size() < edges_) return {};
    const std::vector<double> uses = uses_of(tree);
    const double cost = cost_of(uses);
    if (cost > 0) bound_ = std::min(bound_, value_of_prices() / cost);
    if (cost >= 1 - tiny || value() >= bound_ * (1 - tolerance / 2)) break;
    trees_.push_back(std::move(tree));
    enter(uses, static_cast<int>(trees_.size()) - 1, 1 - cost);
  }
  return result();
}

// Rounding in the inverse must not overload a link: all weights give way to the worst.
TreePacking Program::result() {
  TreePacking packing;
  std::vector<double> load(rows_, 0);
  for (std::size_t r = 0; r < rows_; ++r) {
    if (basis_[r] == slack || amount_[r] <= tiny) continue;
    packing.trees.push_back(trees_[basis_[r]]);
    packing.trees.back().weight = amount_[r] * scale_;
    const std::vector<double> uses = uses_of(packing.trees.back());
    for (std::size_t l = 0; l < rows_; ++l) load[l] += uses[l] * packing.trees.back().weight;
  }
  double worst = 1;
  for (std::size_t l = 0; l < rows_; ++l)
    if (load[l] > 0) worst = std::max(worst, load[l] / given_[l]);
  for (SpanningTree& tree : packing.trees) packing.rate += tree.weight /= worst;
  packing.bound = bound_ * scale_ * (1 + tolerance);
  return packing;
}

}  // namespace

TreePacking packing_of(const std::vector<double>& capacity, std::size_t edges,
                       const CheapestColumn& cheapest, int most_trees) {
  return Program(capacity, edges, cheapest).solve(static_cast<std::size_t>(most_trees));
}

}  // namespace railwright::collectives
