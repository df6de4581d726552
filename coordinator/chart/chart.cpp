#include "coordinator/chart/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "coordinator/chart/scale.hpp"
#include "topology/quantity.hpp"

namespace railwright::coordinator {
namespace {

constexpr int width = 960, height = 460;
constexpr double left = 72, right = 940, top = 16, bottom = 400;
constexpr int colours = 8;
constexpr double marker_size = 4, touch_size = 11;

// Beyond the colours the marker changes: a reader can tell the lines apart without colour too.
std::string marker(double x, double y, int line) {
  const double r = marker_size;
  const std::string colour = fmt::format("c{}", line % colours);
  switch (line / colours % 3) {
    case 0:
      return fmt::format("<circle class=\"mark {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>", colour,
                         x, y, r);
    case 1:
      return fmt::format(
          "<rect class=\"mark {}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"{}\"/>", colour,
          x - r, y - r, 2 * r, 2 * r);
    default:
      return fmt::format("<path class=\"mark {}\" d=\"M{:.1f} {:.1f}l{} {}h-{}z\"/>", colour, x,
                         y - r, r, 2 * r, 2 * r);
  }
}

std::string_view class_of(LineStyle style) {
  constexpr std::array<std::string_view, 4> classes = {"measured", "solid", "dashed", "dotted"};
  return classes.at(static_cast<std::size_t>(style));
}

// Numbers of the lines among those with a colour of their own.
std::vector<int> colour_numbers(const Chart& chart) {
  std::vector<int> numbers;
  int next = 0;
  for (const ChartLine& line : chart.lines)
    numbers.push_back(line.style == LineStyle::measured ? next++ : -1);
  return numbers;
}

std::string line_class(const ChartLine& line, int number) {
  return number < 0 ? fmt::format("line {}", class_of(line.style))
                    : fmt::format("line measured c{}", number % colours);
}

struct Frame {
  SizeScale sizes;
  RateScale rates;
};

std::optional<Frame> frame_of(const Chart& chart) {
  Bytes smallest{UINT64_MAX}, largest{0};
  Bandwidth most;
  for (const ChartLine& line : chart.lines)
    for (const ChartPoint& point : line.points) {
      if (point.size.count == 0) continue;
      smallest = std::min(smallest, point.size);
      largest = std::max(largest, point.size);
      most = std::max(most, point.rate);
    }
  if (largest.count == 0) return {};
  return Frame{{smallest, largest, left, right}, {most, bottom, top}};
}

std::string axes(const Chart& chart, const Frame& frame) {
  std::string text;
  for (const Bandwidth rate : frame.rates.ticks()) {
    const double y = frame.rates.at(rate);
    text += fmt::format("<path class=\"{}\" d=\"M{} {:.1f}H{}\"/>",
                        rate.bytes_per_second > 0 ? "grid" : "axis", left, y, right);
    text += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n", left - 8,
                        y + 4, in_gigabytes_per_second(rate));
  }
  for (const Bytes size : frame.sizes.ticks()) {
    const double x = frame.sizes.at(size);
    text += fmt::format("<path class=\"axis\" d=\"M{:.1f} {}v5\"/>", x, bottom);
    text += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x,
                        bottom + 22, to_string(size));
  }
  text += fmt::format("<text class=\"name\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">message size",
                      (left + right) / 2, height - 12);
  text += " (logarithmic)</text>\n";
  return text + fmt::format(
                    "<text class=\"name\" transform=\"translate(18 {}) rotate(-90)\" "
                    "text-anchor=\"middle\">{} (GB/s)</text>\n",
                    (top + bottom) / 2, escaped(chart.rate_axis));
}

std::string line_of(const ChartLine& line, int number, const Frame& frame) {
  std::string path, marks;
  for (const ChartPoint& point : line.points) {
    if (point.size.count == 0) continue;
    const double x = frame.sizes.at(point.size), y = frame.rates.at(point.rate);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
    if (number >= 0) marks += marker(x, y, number);
    marks += fmt::format(
        "<circle class=\"touch\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}</title></circle>\n",
        x, y, touch_size, escaped(line.name + ", " + point.label));
  }
  if (path.empty()) return {};
  return fmt::format("<path class=\"{}\" d=\"{}\"/>\n{}", line_class(line, number), path, marks);
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '"')
      safe += "&quot;";
    else if (c == '\'')
      safe += "&#39;";
    else
      safe += c;
  }
  return safe;
}

std::string svg_of(const Chart& chart) {
  const auto frame = frame_of(chart);
  if (!frame) return {};
  std::string text =
      fmt::format("<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
                  width, height, escaped(chart.title));
  text += axes(chart, *frame);
  const std::vector<int> numbers = colour_numbers(chart);
  for (std::size_t i = 0; i < chart.lines.size(); ++i)
    text += line_of(chart.lines[i], numbers[i], *frame);
  return text + "</svg>\n";
}

std::string legend_of(const Chart& chart) {
  const std::vector<int> numbers = colour_numbers(chart);
  std::string text = "<ul class=\"legend\">\n";
  for (std::size_t i = 0; i < chart.lines.size(); ++i)
    text += fmt::format(
        "<li><svg viewBox=\"0 0 34 14\" width=\"34\" height=\"14\" aria-hidden=\"true\">"
        "<path class=\"{}\" d=\"M1 7H33\"/>{}</svg>{}</li>\n",
        line_class(chart.lines[i], numbers[i]), numbers[i] < 0 ? "" : marker(17, 7, numbers[i]),
        escaped(chart.lines[i].name));
  return text + "</ul>\n";
}

std::string_view chart_style() {
  return R"(.chart { width: 100%; height: auto; display: block; }
.chart text { fill: var(--quiet); font-size: 13px; font-variant-numeric: tabular-nums; }
.chart .name { fill: var(--ink); font-size: 14px; }
.grid { stroke: var(--grid); fill: none; }
.axis { stroke: var(--axis); fill: none; }
.line { stroke: var(--ink); stroke-width: 2; fill: none; stroke-linejoin: round; }
.line.dashed { stroke-dasharray: 7 5; stroke: var(--quiet); }
.line.dotted { stroke-dasharray: 2 4; }
.mark { stroke: var(--paper); stroke-width: 1.5; }
.touch { fill: transparent; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; list-style: none; padding: 0; }
.legend li { display: flex; align-items: center; gap: 8px; }
.line.c0 { stroke: var(--c0); } .mark.c0 { fill: var(--c0); }
.line.c1 { stroke: var(--c1); } .mark.c1 { fill: var(--c1); }
.line.c2 { stroke: var(--c2); } .mark.c2 { fill: var(--c2); }
.line.c3 { stroke: var(--c3); } .mark.c3 { fill: var(--c3); }
.line.c4 { stroke: var(--c4); } .mark.c4 { fill: var(--c4); }
.line.c5 { stroke: var(--c5); } .mark.c5 { fill: var(--c5); }
.line.c6 { stroke: var(--c6); } .mark.c6 { fill: var(--c6); }
.line.c7 { stroke: var(--c7); } .mark.c7 { fill: var(--c7); }
:root {
  --paper: #fcfcfb; --ink: #0b0b0b; --quiet: #52514e; --grid: #e1e0d9; --axis: #b4b2a8;
  --c0: #2a78d6; --c1: #1baf7a; --c2: #eda100; --c3: #008300;
  --c4: #4a3aa7; --c5: #e34948; --c6: #e87ba4; --c7: #eb6834;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #1a1a19; --ink: #ffffff; --quiet: #c3c2b7; --grid: #2c2c2a; --axis: #55544f;
    --c0: #3987e5; --c1: #199e70; --c2: #c98500; --c3: #008300;
    --c4: #9085e9; --c5: #e66767; --c6: #d55181; --c7: #d95926;
  }
}
)";
}

}  // namespace railwright::coordinator
