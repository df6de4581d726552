// A line chart as SVG text: sizes on a logarithmic axis, a rate from zero upwards. No script, no
// other file; colours are classes, so that the page decides them for light and for dark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "topology/units.hpp"

namespace railwright::coordinator {

struct ChartPoint {
  Bytes size;  // zero does not fit on the axis and is left out
  Bandwidth rate;
  std::string label;  // shown when pointed at
};

enum class LineStyle : std::uint8_t {
  measured,  // a colour of its own, with markers
  solid,     // limits, in the colour of the text
  dashed,
  dotted,
};

struct ChartLine {
  std::string name;
  LineStyle style = LineStyle::measured;
  std::vector<ChartPoint> points;  // ascending by size
};

struct Chart {
  std::string title, rate_axis;  // "bus bandwidth"; GB/s is added
  std::vector<ChartLine> lines;
};

// Text for HTML and SVG, inside elements and in quoted attributes.
std::string escaped(std::string_view text);

// Same chart, same bytes. Empty when no line has a point that fits.
std::string svg_of(const Chart& chart);
// One entry per line, with a sample of it, as HTML.
std::string legend_of(const Chart& chart);
// Rules for the classes of both, with colours for light and dark.
std::string_view chart_style();

}  // namespace railwright::coordinator
