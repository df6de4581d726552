#include <fmt/format.h>

#include "coordinator/chart/chart.hpp"
#include "coordinator/collective/output.hpp"
#include "topology/version.hpp"

namespace railwright::coordinator {
namespace {

constexpr std::size_t most_links = 8;  // by name

std::string rate_text(Bandwidth rate) {
  return fmt::format("{:.2f}", in_gigabytes_per_second(rate));
}
std::string time_text(Seconds time) { return fmt::format("{:.2f}", in_microseconds(time)); }

ChartPoint point_of(const CollectiveRequest& request, Bytes size, Seconds time) {
  const Bandwidth rate = bus_bandwidth(request, size, time);
  return {size, rate,
          fmt::format("{}: {} GB/s, {}", to_string(size), rate_text(rate), to_string(time))};
}

const Row& row_of(const CollectiveRequest& request, const Sweep& sweep, std::size_t size,
                  std::size_t wanted) {
  return sweep.rows[size * request.wanted.size() + wanted];
}

ChartLine measured_line(const CollectiveRequest& request, const Sweep& sweep, std::size_t wanted) {
  ChartLine line{request.wanted[wanted].word, LineStyle::measured, {}};
  for (std::size_t i = 0; i < request.sizes.size(); ++i) {
    const Row& row = row_of(request, sweep, i, wanted);
    line.points.push_back(point_of(request, row.size.sent, row.time()));
    if (!row.choice.by.empty())
      line.points.back().label += ", " + to_string(row.schedule().algorithm);
  }
  return line;
}

// What a rate allows at any size: a level line.
ChartLine level_line(const CollectiveRequest& request, const std::string& name, LineStyle style,
                     Bandwidth algorithm_bandwidth) {
  const Bandwidth rate =
      collectives::bus_bandwidth_factor(request.operation, request.ranks()) * algorithm_bandwidth;
  ChartLine line{fmt::format("{} ({} GB/s)", name, rate_text(rate)), style, {}};
  for (const MessageSize& size : request.sizes)
    line.points.push_back({size.sent, rate, rate_text(rate) + " GB/s"});
  return line;
}

ChartLine nccl_line(const CollectiveRequest& request, const Sweep& sweep) {
  ChartLine line{
      fmt::format("NCCL {}'s prediction", request.nccl_constants->version), LineStyle::dashed, {}};
  for (std::size_t i = 0; i < request.sizes.size(); ++i) {
    const Row& row = row_of(request, sweep, i, 0);
    if (!row.nccl_takes) continue;
    line.points.push_back(point_of(request, row.size.sent, row.nccl_takes->time()));
    line.points.back().label += ", " + nccl_name(*row.nccl_takes);
  }
  return line;
}

// One line where the two meet.
void add_limits(const CollectiveRequest& request, const Sweep& sweep, Chart& chart) {
  const auto add = [&](const char* name, LineStyle style, Bandwidth rate) {
    chart.lines.push_back(level_line(request, name, style, rate));
  };
  if (!sweep.bound) return;
  const Bandwidth bound = sweep.bound->algorithm_bandwidth;
  const bool meet = sweep.attainable && sweep.attainable->algorithm_bandwidth >= 0.9999 * bound;
  add(meet ? "bound, which is attainable" : "bound", LineStyle::solid, bound);
  if (sweep.bound_in_network && sweep.bound_in_network->algorithm_bandwidth > bound)
    add("bound where switches reduce", LineStyle::solid,
        sweep.bound_in_network->algorithm_bandwidth);
  if (sweep.attainable && !meet)
    add("attainable", LineStyle::dotted, sweep.attainable->algorithm_bandwidth);
}

Chart chart_of(const CollectiveRequest& request, const Sweep& sweep) {
  Chart chart{"Bus bandwidth against size: " + title_of(request), "bus bandwidth", {}};
  add_limits(request, sweep, chart);
  if (sweep.rows.front().nccl_takes) chart.lines.push_back(nccl_line(request, sweep));
  for (std::size_t w = 0; w < request.wanted.size(); ++w)
    chart.lines.push_back(measured_line(request, sweep, w));
  return chart;
}

std::string bound_text(const CollectiveRequest& request, const Sweep& sweep) {
  if (!sweep.bound) return {};
  const auto& links = sweep.bound->links;
  std::string names;
  for (std::size_t i = 0; i < std::min(links.size(), most_links); ++i)
    names += (names.empty() ? "" : ", ") + request.cluster.graph.name_of(links[i]);
  const std::int64_t named = static_cast<std::int64_t>(std::min(links.size(), most_links));
  if (const auto more = sweep.bound->links_total - named; more > 0)
    names += fmt::format(" and {} more", more);
  return fmt::format("<p>Bound: {}. Its links: {}.</p>\n", escaped(sweep.bound->cut),
                     escaped(names));
}

std::string cell(const std::string& text, bool words = false) {
  return fmt::format("<td{}>{}</td>", words ? " class=\"words\"" : "", escaped(text));
}

// "ring", or "auto: ring".
std::string algorithm_text(const Row& row) {
  const std::string name = to_string(row.schedule().algorithm);
  return row.wanted.rule == Rule::named ? name : row.wanted.word + ": " + name;
}

std::string table_row(const CollectiveRequest& request, const Sweep& sweep, const Row& row) {
  const auto bound = sweep.bound_time(row), attainable = sweep.attainable_time(row);
  std::string text = "<tr>" + cell(std::to_string(row.size.sent.count)) +
                     cell(std::to_string(count_of(request, row.size.sent)));
  text += cell(algorithm_text(row), true) + cell(time_text(row.time())) +
          cell(rate_text(row.algbw())) + cell(rate_text(row.busbw())) +
          cell(time_text(row.expected)) + cell(attainable ? time_text(*attainable) : "-") +
          cell(bound ? time_text(*bound) : "-") +
          cell(row.nccl_takes ? time_text(row.nccl_takes->time()) : "-") +
          cell(row.nccl_takes ? nccl_name(*row.nccl_takes) : "-", true) +
          cell(limit_of(request, row), true);
  return text + "</tr>\n";
}

std::string table_of(const CollectiveRequest& request, const Sweep& sweep) {
  std::string text = "<div class=\"wide\"><table>\n<thead><tr><th>size (B)</th><th>count</th>";
  text +=
      "<th class=\"words\">algorithm</th><th>time (us)</th><th>algbw (GB/s)</th>"
      "<th>busbw (GB/s)</th><th>expected (us)</th><th>attainable (us)</th><th>bound "
      "(us)</th><th>NCCL (us)</th>"
      "<th class=\"words\">NCCL takes</th><th class=\"words\">limited by</th></tr></thead>\n"
      "<tbody>\n";
  for (const Row& row : sweep.rows) text += table_row(request, sweep, row);
  return text + "</tbody></table></div>\n";
}

constexpr std::string_view page_style = R"(:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 24px; max-width: 1400px; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; }
p, .notes { color: var(--quiet); margin: 4px 0; }
.wide { overflow-x: auto; margin-top: 20px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 8px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--grid); }
th { color: var(--quiet); font-weight: 600; }
.words { text-align: left; }
)";

}  // namespace

std::string sweep_page(const CollectiveRequest& request, const Sweep& sweep) {
  const Chart chart = chart_of(request, sweep);
  const std::string title = escaped(title_of(request));
  const std::string svg = svg_of(chart);
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>\n{}{}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
      title, page_style, chart_style(), title);
  text += fmt::format("<p>Emulated by railwright {}; elements: {}.</p>\n", tool_version,
                      request.type.name);
  text +=
      svg.empty() ? "<p>A message of 0 B has no bandwidth to draw.</p>\n" : legend_of(chart) + svg;
  text += bound_text(request, sweep);
  text += table_of(request, sweep) + "<ul class=\"notes\">\n";
  for (const std::string& note : notes_of(request, sweep))
    text += "<li>" + escaped(note) + "</li>\n";
  return text + "</ul>\n</body>\n</html>\n";
}

}  // namespace railwright::coordinator
