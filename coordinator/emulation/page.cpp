// One emulated step as a page: where the time goes, what more would give, links, a timeline.
#include <fmt/format.h>

#include <algorithm>

#include "coordinator/chart/chart.hpp"
#include "coordinator/emulation/outputs.hpp"
#include "topology/version.hpp"

namespace railwright::coordinator {
namespace {

using workload::OpKind;

constexpr std::size_t links_on_page = 24, ranks_on_page = 8;
constexpr double width = 1200, margin = 150, track_height = 12;

std::string cell(const std::string& text, bool words = false) {
  return fmt::format("<td{}>{}</td>", words ? " class=\"words\"" : "", escaped(text));
}

std::string heading_row(std::initializer_list<const char*> titles) {
  std::string text = "<thead><tr>";
  bool words = true;  // the first column
  for (const char* title : titles) {
    text += fmt::format("<th{}>{}</th>", words ? " class=\"words\"" : "", title);
    words = false;
  }
  return text + "</tr></thead>\n";
}

std::string blame_section(const emulator::StepResult& step) {
  std::string text = "<h2>Where the time goes</h2>\n<table class=\"bars\">" +
                     heading_row({"cause", "time", "share", ""}) + "<tbody>\n";
  const std::vector<int> shares = per_mille(step.blame);
  for (std::size_t i = 0; i < step.blame.size(); ++i)
    text += fmt::format(
        "<tr>{}{}{}<td class=\"words\"><div class=\"bar\" style=\"width:{}px\"></div></td></tr>\n",
        cell(step.blame[i].cause, true), cell(to_string(in_seconds(step.blame[i].time))),
        cell(fmt::format("{}.{} %", shares[i] / 10, shares[i] % 10)), shares[i] * 6 / 10);
  return text + "</tbody></table>\n";
}

std::string sensitivities_section(const emulator::StepResult& step) {
  if (step.sensitivities.empty()) return {};
  std::string text = "<h2>What a tenth more would give</h2>\n<table>" +
                     heading_row({"10 % more", "step", "gain"}) + "<tbody>\n";
  for (const emulator::Sensitivity& entry : step.sensitivities)
    text += "<tr>" + cell(entry.what, true) + cell(to_string(in_seconds(entry.step_time))) +
            cell(fmt::format("{:.2f} %", 100 * gain_of(entry, step))) + "</tr>\n";
  return text + "</tbody></table>\n";
}

// Utilisation over the step, as a filled curve.
std::string course_svg(const emulator::LinkCourse& course) {
  constexpr double wide = 256, high = 24;
  std::string points = fmt::format("0,{}", high);
  const auto spans = course.utilization.size();
  for (std::size_t i = 0; i < spans; ++i) {
    const double y = high * (1 - std::min(1.0, course.utilization[i]));
    const double from = wide * static_cast<double>(i) / static_cast<double>(spans);
    const double to = wide * static_cast<double>(i + 1) / static_cast<double>(spans);
    points += fmt::format(" {:.1f},{:.1f} {:.1f},{:.1f}", from, y, to, y);
  }
  return fmt::format(
      "<svg class=\"course\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\">"
      "<polygon points=\"{2} {0},{1}\"/></svg>",
      wide, high, points);
}

std::string links_section(const EmulationReport& report) {
  const topology::Graph& graph = report.inputs.cluster.graph;
  if (report.step.links.empty()) return {};
  std::string text =
      "<h2>Links, by the time that they hold the step back, then by load</h2>\n"
      "<table>" +
      heading_row(
          {"link", "class", "utilization", "busy", "holds back", "utilization over the step"}) +
      "<tbody>\n";
  std::size_t rows = 0;
  for (const emulator::LinkLoad& load : report.step.links) {
    if (rows == links_on_page) break;
    text += "<tr>" + cell(graph.name_of(load.link), true) + cell(graph.class_of(load.link).name) +
            cell(fmt::format("{:.1f} %", 100 * load.utilization)) +
            cell(to_string(seconds(load.busy_seconds))) +
            cell(to_string(in_seconds(load.critical)));
    const auto& courses = report.step.courses;
    text += fmt::format("<td>{}</td></tr>\n",
                        rows < courses.size() ? course_svg(courses[rows]) : std::string());
    ++rows;
  }
  return text + "</tbody></table>\n";
}

// ---- the timeline: ops that fall into one pixel become one mark

enum class Paint { forward, backward, once, exchange, wait };
constexpr const char* paint_classes[] = {"p0", "p1", "p2", "p3", "p4"};
constexpr const char* paint_names[] = {"forward", "backward", "optimizer and other computation",
                                       "communication", "waiting for peers"};

Paint paint_of(const workload::Op& op) {
  if (op.kind != OpKind::compute) return Paint::exchange;
  if (op.micro_batch < 0) return Paint::once;
  return op.backward ? Paint::backward : Paint::forward;
}

class Track {
 public:
  Track(double y, Picoseconds whole) : y_(y), whole_(static_cast<double>(whole.count)) {}

  void add(Instant from, Instant to, Paint paint) {
    if (to <= from) return;
    const double left = pixel(from), right = std::max(pixel(to), left + 0.5);
    if (open_ && paint == paint_ && left <= right_ + 0.5) {
      right_ = std::max(right_, right);
      return;
    }
    if (open_ && right <= right_ + 0.5) return;  // hidden under the mark before it
    close();
    open_ = true;
    left_ = std::max(left, marks_.empty() ? 0 : right_);
    right_ = std::max(right, left_ + 0.5);
    paint_ = paint;
  }

  std::string take() {
    close();
    return std::move(marks_);
  }

 private:
  double pixel(Instant at) const {
    return margin + (width - margin) * static_cast<double>(at.picoseconds) / whole_;
  }
  void close() {
    if (!open_) return;
    marks_ += fmt::format(
        "<rect class=\"{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"/>\n",
        paint_classes[static_cast<int>(paint_)], left_, y_, right_ - left_, track_height - 2);
  }

  double y_, whole_;
  bool open_ = false;
  double left_ = 0, right_ = 0;
  Paint paint_ = Paint::forward;
  std::string marks_;
};

class TimelineChart {
 public:
  explicit TimelineChart(const EmulationReport& report) : report_(report), timeline_(report) {}

  std::string svg() {
    auto ranks = timeline_.ranks();
    if (ranks.size() > ranks_on_page) ranks.resize(ranks_on_page);
    for (const std::int64_t rank : ranks) add_rank(rank);
    return fmt::format("<svg class=\"chart\" viewBox=\"0 0 {} {}\">\n{}</svg>\n", width, y_ + 4,
                       text_);
  }

 private:
  void add_rank(std::int64_t rank) {
    y_ += 18;
    text_ += fmt::format("<text class=\"name\" x=\"0\" y=\"{}\">rank {}, stage {}, {}</text>\n",
                         y_ - 4, rank, timeline_.stage(rank), escaped(timeline_.accelerator(rank)));
    for (int stream = 0; stream < workload::stream_count; ++stream)
      add_stream(rank, static_cast<workload::Stream>(stream));
  }

  void add_stream(std::int64_t rank, workload::Stream stream) {
    Track track(y_, report_.step.step_time);
    for (const emulator::Interval& interval : report_.step.timeline) {
      if (interval.rank != rank) continue;
      const Timeline::Entry entry = timeline_.entry(interval);
      if (entry.op.stream != stream) continue;
      if (entry.op.kind != OpKind::compute) track.add(interval.ready, interval.start, Paint::wait);
      track.add(interval.start, interval.end, paint_of(entry.op));
    }
    const std::string marks = track.take();
    if (marks.empty()) return;
    text_ += fmt::format("<text x=\"12\" y=\"{}\">{}</text>\n{}", y_ + track_height - 2,
                         name_of(stream), marks);
    y_ += track_height;
  }

  const EmulationReport& report_;
  Timeline timeline_;
  double y_ = 0;
  std::string text_;
};

std::string timeline_section(const EmulationReport& report) {
  if (report.step.timeline.empty()) return {};
  std::string text =
      "<h2>Timeline</h2>\n<p>One rank of each stage, the one that the others wait for, and others "
      "that are told apart.</p>\n<ul class=\"legend\">";
  for (int paint = 0; paint < 5; ++paint)
    text += fmt::format(
        "<li><svg width=\"14\" height=\"10\"><rect class=\"{}\" width=\"14\" "
        "height=\"10\"/></svg>{}</li>",
        paint_classes[paint], paint_names[paint]);
  return text + "</ul>\n" + TimelineChart(report).svg();
}

constexpr std::string_view page_style = R"(:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 24px; max-width: 1400px; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 28px 0 6px; }
p { color: var(--quiet); margin: 4px 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 8px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--grid); }
th { color: var(--quiet); font-weight: 600; }
.words { text-align: left; }
.bar { height: 10px; background: var(--c0); }
.course polygon { fill: var(--c0); } .course { display: block; background: var(--grid); }
.p0 { fill: var(--c0); } .p1 { fill: var(--c4); } .p2 { fill: var(--c1); }
.p3 { fill: var(--c2); } .p4 { fill: var(--grid); }
)";

}  // namespace

std::string emulation_page(const EmulationReport& report) {
  const emulator::Plan& plan = report.inputs.plan;
  const std::string title = escaped(fmt::format("{} on {}, {} ranks", plan.training.model.name,
                                                plan.cluster.name, report.step.ranks));
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>\n{}{}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
      title, page_style, chart_style(), title);
  text +=
      fmt::format("<p>{}</p>\n<p>Step {}, MFU {:.1f} %. Emulated by railwright {}.</p>\n",
                  escaped(to_string(plan.degrees)), to_string(in_seconds(report.step.step_time)),
                  100 * report.step.mfu, tool_version);
  return text + blame_section(report.step) + sensitivities_section(report.step) +
         links_section(report) + timeline_section(report) + "</body>\n</html>\n";
}

}  // namespace railwright::coordinator
