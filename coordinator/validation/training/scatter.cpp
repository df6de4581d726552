#include "coordinator/validation/training/scatter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "coordinator/chart/chart.hpp"

namespace railwright::coordinator {
namespace {

constexpr double left = 70, top = 20, side = 620;  // pixels
constexpr double aside = 0.1;                      // of the lines beside equality
constexpr int colours = 9;

constexpr const char* head = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Predicted against measured</title><style>
body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:60em;background:#fff;color:#222}
svg{width:100%;height:auto}svg text{font-size:12px;fill:currentColor}
.axis,.grid,.equal,.beside{stroke:currentColor;fill:none}.grid{opacity:.12}.beside{opacity:.4}
.beside{stroke-dasharray:4 4}circle{opacity:.65}
.c0{fill:#0b62a4}.c1{fill:#d1495b}.c2{fill:#2e933c}.c3{fill:#b07d00}.c4{fill:#7b4fa3}
.c5{fill:#00838f}.c6{fill:#8d5524}.c7{fill:#c2188b}.c8{fill:#607d8b}
@media(prefers-color-scheme:dark){body{background:#16191d;color:#ddd}circle{opacity:.85}}
</style></head><body>
<h1>Predicted against measured</h1>
)";

struct Point {
  double measured = 0, predicted = 0;
  std::size_t group = 0;
  std::string id;
};

// Both axes alike: whole powers of ten around all points.
struct Axes {
  double low = 0, high = 1;  // log10
  double across(double value) const {
    return left + side * (std::log10(value) - low) / (high - low);
  }
  double up(double value) const {
    return top + side * (1 - (std::log10(value) - low) / (high - low));
  }
};

Axes axes_of(const std::vector<Point>& points) {
  double least = points.front().measured, most = least;
  for (const Point& point : points) {
    least = std::min({least, point.measured, point.predicted});
    most = std::max({most, point.measured, point.predicted});
  }
  const double low = std::floor(std::log10(least));
  return {low, std::max(low + 1, std::ceil(std::log10(most)))};
}

std::string line(const Axes& axes, const char* style, double factor) {
  const double from = std::pow(10, axes.low), to = std::pow(10, axes.high);
  const double begin = factor < 1 ? from / factor : from, end = factor > 1 ? to / factor : to;
  return fmt::format(R"(<path class="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>)", style,
                     axes.across(begin), axes.up(begin * factor), axes.across(end),
                     axes.up(end * factor));
}

std::string grid(const Axes& axes) {
  std::string svg;
  for (double power = axes.low; power <= axes.high; ++power) {
    const double value = std::pow(10, power), x = axes.across(value), y = axes.up(value);
    const std::string label = to_string(seconds(value));
    svg += fmt::format(R"(<path class="grid" d="M{0:.1f} {1}V{2}M{3} {4:.1f}H{5}"/>)", x, top,
                       top + side, left, y, left + side);
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)", x,
                       top + side + 18, label);
    svg += fmt::format(R"(<text x="{}" y="{:.1f}" text-anchor="end">{}</text>)", left - 6, y + 4,
                       label);
  }
  svg += fmt::format(R"(<rect class="axis" x="{}" y="{}" width="{}" height="{}"/>)", left, top,
                     side, side);
  svg += fmt::format(R"(<text x="{}" y="{}">measured: across, predicted: up</text>)", left + 8,
                     top + side - 10);
  return svg + "\n";
}

std::string dots(const Axes& axes, const std::vector<Point>& points) {
  std::string svg;
  for (const Point& point : points)
    svg += fmt::format(
        R"(<circle class="c{}" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}: {} measured, )"
        "{} predicted</title></circle>\n",
        point.group % colours, axes.across(point.measured), axes.up(point.predicted),
        escaped(point.id), to_string(seconds(point.measured)), to_string(seconds(point.predicted)));
  return svg;
}

std::string legend(const TrainingEvaluation& evaluation) {
  std::string svg;
  double y = top + 14;
  for (std::size_t i = 0; i < evaluation.groups.size(); ++i) {
    const TrainingGroup& group = evaluation.groups[i];
    if (group.step.rows == 0) continue;
    svg += fmt::format(R"(<circle class="c{}" cx="{}" cy="{}" r="5"/>)", i % colours,
                       left + side + 20, y - 4);
    svg += fmt::format(R"(<text x="{}" y="{}">{}: {:.1f} % over {} rows</text>)"
                       "\n",
                       left + side + 32, y, escaped(group.group), 100 * group.step.mape,
                       group.step.rows);
    y += 20;
  }
  return svg;
}

}  // namespace

std::string scatter_page(const TrainingEvaluation& evaluation,
                         const std::vector<TrainingRow>& rows) {
  std::vector<Point> points;
  for (const PredictedStep& step : evaluation.steps) {
    const TrainingRow& row = rows[step.row];
    const auto group = std::ranges::find(evaluation.groups, row.group, &TrainingGroup::group);
    if (row.step_time)
      points.push_back({row.step_time->value, step.predicted.value,
                        static_cast<std::size_t>(group - evaluation.groups.begin()), row.id});
  }
  std::string page = head;
  if (points.empty()) return page + "<p>No row has a step time.</p>\n</body></html>\n";
  const Axes axes = axes_of(points);
  page += fmt::format(
      "<p>{} training steps; the mean of |predicted / measured - 1| over the groups is {:.1f} %. "
      "Dashed: ten per cent off.</p>\n<svg viewBox=\"0 0 {} {}\" role=\"img\">\n",
      points.size(), 100 * evaluation.macro_mape, left + side + 240, top + side + 30);
  page += grid(axes) + line(axes, "equal", 1) + line(axes, "beside", 1 + aside) +
          line(axes, "beside", 1 - aside) + "\n" + dots(axes, points) + legend(evaluation);
  return page + "</svg>\n</body></html>\n";
}

}  // namespace railwright::coordinator
