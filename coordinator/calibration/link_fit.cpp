#include "coordinator/calibration/link_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "collectives/cost.hpp"

namespace railwright::coordinator {
namespace {

using workload::Operation;

constexpr double piece_width = 4;     // of sizes, from the largest down
constexpr double piece_spread = 1.1;  // most of a piece's best efficiency over its worst
constexpr double latency_part = 0.1;  // sizes whose bytes take less show the latency
constexpr double bytes_part = 0.2;    // sizes whose bytes take more show the efficiency
constexpr double least_efficiency = 1e-3;
constexpr std::size_t fewest_sizes = 2;
constexpr int rounds = 4;  // latency and efficiency in turn; each round gains three digits

struct Problem {
  const LinkSystem& system;
  double steps, factor;  // of a ring; bytes on a link over bytes of the vector

  double wire(Bytes size) const {
    return factor * static_cast<double>(size.count) / system.line.bytes_per_second;
  }
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double spread(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  double mean = 0, sum = 0;
  const auto count = static_cast<double>(values.size());
  for (const double value : values) mean += value / count;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / (count - 1) / count);
}

struct Piece {
  double low = 0, high = 0;  // bytes
  double efficiency = 1, error = 0;
  int n = 0;
};
struct Curve {
  double latency = 0, latency_error = 0;  // of a step, links and software
  int n = 0;                              // sizes behind the latency
  double low = 0, high = 0;               // their bytes
  std::vector<Piece> pieces;              // from the largest sizes down
  bool faster_than_ring = false;
};

// Bytes of small sizes move as those of the smallest piece do, once that is known. Without small
// sizes the least time is the best that is known of the latency.
void fit_latency(Curve& curve, const Problem& problem, std::span<const SizeTime> sweep) {
  const double efficiency = curve.pieces.empty() ? 1 : curve.pieces.back().efficiency;
  const auto latency_of = [&](const SizeTime& point) {
    return std::max(0.0, point.time.value - problem.wire(point.size) / efficiency) / problem.steps;
  };
  std::vector<double> latencies;
  curve.low = curve.high = static_cast<double>(sweep.front().size.count);
  for (const SizeTime& point : sweep)
    if (problem.wire(point.size) < latency_part * point.time.value) {
      latencies.push_back(latency_of(point));
      curve.high = static_cast<double>(point.size.count);
    }
  if (latencies.empty()) latencies.push_back(latency_of(sweep.front()));
  curve.latency = median(latencies);
  curve.latency_error = spread(latencies);
  curve.n = static_cast<int>(latencies.size());
}

double reached(const Curve& curve, const Problem& problem, const SizeTime& point) {
  const double left = point.time.value - problem.steps * curve.latency;
  return left > 0 ? problem.wire(point.size) / left : 1;
}

double efficiency_at(const Curve& curve, const Problem& problem, const SizeTime& point) {
  return std::clamp(reached(curve, problem, point), least_efficiency, 1.0);
}

Piece piece_of(const Curve& curve, const Problem& problem, std::span<const SizeTime> points) {
  std::vector<double> efficiencies;
  for (const SizeTime& point : points) efficiencies.push_back(efficiency_at(curve, problem, point));
  return {static_cast<double>(points.front().size.count),
          static_cast<double>(points.back().size.count), median(efficiencies), spread(efficiencies),
          static_cast<int>(points.size())};
}

// How many of the largest sizes one efficiency speaks for: caches end between two sizes, and a mean
// over such a border would be right on neither side.
std::size_t alike_from_the_top(const Curve& curve, const Problem& problem,
                               std::span<const SizeTime> points) {
  const double smallest = static_cast<double>(points.back().size.count) / piece_width;
  double least = 1, most = 0;
  std::size_t count = 0;
  for (auto point = points.rbegin(); point != points.rend(); ++point, ++count) {
    const double efficiency = efficiency_at(curve, problem, *point);
    least = std::min(least, efficiency);
    most = std::max(most, efficiency);
    if (static_cast<double>(point->size.count) <= smallest || most > piece_spread * least) break;
  }
  return count;
}

// Ranges meet: each begins where the one below it ends.
void fit_pieces(Curve& curve, const Problem& problem, std::span<const SizeTime> sweep) {
  curve.pieces.clear();
  const auto shows = std::find_if(sweep.begin(), sweep.end(), [&](const SizeTime& point) {
    return problem.wire(point.size) > bytes_part * point.time.value;
  });
  std::span<const SizeTime> rest(shows == sweep.end() ? sweep.end() - 1 : shows, sweep.end());
  curve.faster_than_ring = std::any_of(rest.begin(), rest.end(), [&](const SizeTime& point) {
    return reached(curve, problem, point) > 1;
  });
  while (!rest.empty()) {
    const std::size_t count = alike_from_the_top(curve, problem, rest);
    curve.pieces.push_back(piece_of(curve, problem, rest.last(count)));
    rest = rest.first(rest.size() - count);
  }
  for (std::size_t i = 0; i + 1 < curve.pieces.size(); ++i)
    curve.pieces[i].low = curve.pieces[i + 1].high;
}

Curve curve_of(const Problem& problem, std::span<const SizeTime> sweep) {
  Curve curve;
  for (int round = 0; round < rounds; ++round) {
    fit_latency(curve, problem, sweep);
    fit_pieces(curve, problem, sweep);
  }
  return curve;
}

double predicted(const Curve& curve, const Problem& problem, Bytes size) {
  const auto bytes = static_cast<double>(size.count);
  const auto piece = std::find_if(curve.pieces.begin(), curve.pieces.end(),
                                  [&](const Piece& p) { return bytes > p.low; });
  const Piece& used = piece == curve.pieces.end() ? curve.pieces.back() : *piece;
  return problem.steps * curve.latency + problem.wire(size) / used.efficiency;
}

double error_at(const Curve& curve, const Problem& problem, const SizeTime& point) {
  return std::abs(predicted(curve, problem, point.size) / point.time.value - 1);
}

double left_out_error(const Problem& problem, std::span<const SizeTime> sweep) {
  double sum = 0;
  for (std::size_t i = 0; i < sweep.size(); ++i) {
    std::vector<SizeTime> rest(sweep.begin(), sweep.end());
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    sum += error_at(curve_of(problem, rest), problem, sweep[i]);
  }
  return sum / static_cast<double>(sweep.size());
}

void write_entries(LinkFit& fit, const Curve& curve, const LinkSystem& system,
                   const std::string& source) {
  fit.entries.push_back({system.library, "software_latency", "s",
                         std::max(0.0, curve.latency - system.hop.value), curve.latency_error,
                         curve.n, curve.low, curve.high, source});
  for (auto piece = curve.pieces.rbegin(); piece != curve.pieces.rend(); ++piece)
    fit.entries.push_back({system.link, "link_efficiency", "1", piece->efficiency, piece->error,
                           piece->n, piece->low, piece->high, source});
}

// One time per size: the median of the repetitions.
std::vector<SizeTime> by_size(std::span<const SizeTime> sweep) {
  std::vector<SizeTime> sorted(sweep.begin(), sweep.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const SizeTime& a, const SizeTime& b) { return a.size < b.size; });
  std::vector<SizeTime> unique;
  for (std::size_t i = 0; i < sorted.size();) {
    std::vector<double> times;
    const Bytes size = sorted[i].size;
    for (; i < sorted.size() && sorted[i].size == size; ++i) times.push_back(sorted[i].time.value);
    if (size.count > 0) unique.push_back({size, seconds(median(times))});
  }
  return unique;
}

}  // namespace

Result<LinkFit> fit_links(const LinkSystem& system, Operation operation, int ranks,
                          std::span<const SizeTime> sweep, const std::string& source) {
  const std::vector<SizeTime> sizes = by_size(sweep);
  if (sizes.size() < fewest_sizes)
    return failure({source, 0, 0},
                   fmt::format("{} sizes of {}", sizes.size(), to_string(operation)),
                   "a fit of links needs two");
  const int times = operation == Operation::all_reduce ? 2 : 1;
  const Problem problem{system, static_cast<double>(times) * (ranks - 1),
                        collectives::bus_bandwidth_factor(operation, ranks)};
  const Curve curve = curve_of(problem, sizes);
  LinkFit fit;
  for (const SizeTime& point : sizes)
    fit.residual += error_at(curve, problem, point) / static_cast<double>(sizes.size());
  fit.left_out = sizes.size() > 2 ? left_out_error(problem, sizes) : fit.residual;
  fit.faster_than_ring = curve.faster_than_ring;
  write_entries(fit, curve, system, source);
  return fit;
}

}  // namespace railwright::coordinator
