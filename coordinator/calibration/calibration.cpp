#include "coordinator/calibration/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "coordinator/calibration/link_fit.hpp"
#include "coordinator/validation/description.hpp"
#include "coordinator/validation/fit.hpp"
#include "topology/calibration_overlay.hpp"
#include "topology/topology.hpp"

namespace railwright::coordinator {
namespace {

using collectives::library::Run;
using collectives::library::Wiring;
using topology::CalibrationEntry;
using topology::LinkClass;

constexpr std::size_t fewest_library_rows = 8;

const LinkClass* link_named(const std::string& name) {
  for (const LinkClass& link : topology::link_catalogue())
    if (link.name == name) return &link;
  return nullptr;
}

// The catalogue's kind of a network whose NICs have this rate.
std::string network_link(const Run& run) {
  for (const char* family : {"infiniband-", "ethernet-"}) {
    const bool fits = run.network == "network:infiniband"
                          ? std::string_view(family).starts_with("infini")
                          : std::string_view(family).starts_with("ether");
    for (const LinkClass& link : topology::link_catalogue())
      if (fits && link.name.starts_with(family) && link.capacity == run.nic) return link.name;
  }
  return {};
}

// Links of a route between two neighbours of a ring: to a switch and from it, or one cable.
int links_between(const Run& run) {
  return run.server.wiring == Wiring::full_mesh || run.server.wiring == Wiring::cube_mesh ? 1 : 2;
}

std::string bare(const std::string& library) { return library.substr(0, library.find('@')); }

Result<LinkSystem> system_with(const std::string& link, const std::string& library, Bandwidth line,
                               int links) {
  const LinkClass* kind = link_named(link);
  if (!kind)
    return failure({},
                   link.empty() ? "no link kind of the catalogue has the rate of these NICs"
                                : fmt::format("no link kind '{}'", link),
                   "name it: --subject infiniband-ndr; railwright topology list shows them");
  return LinkSystem{link, library, line.bytes_per_second > 0 ? line : kind->capacity,
                    links * kind->latency};
}

// Worker processes of this machine, or servers that the table knows.
Result<LinkSystem> system_of_run(const Measurement& run, const Described& row,
                                 const std::string& link) {
  if (run.accelerator == "cpu-core") {
    const std::string library = run.library == "mpi" ? "library:mpi" : "library:shm";
    const std::string kind = link.empty() && run.nodes == 1 ? "shared-memory" : link;
    return system_with(kind, library, {}, 2);
  }
  if (!row.why_not.empty()) return failure({}, row.why_not);
  const Bandwidth line = collectives::library::line_rate(row.run);
  const bool inside = run.nodes == 1;
  const std::string kind = !link.empty() ? link
                           : inside      ? row.run.server.link
                                         : network_link(row.run);
  return system_with(kind, bare(row.run.library), line, links_between(row.run));
}

std::string title_of(const Measurement& run) {
  return fmt::format("links: {}, {} x {}{}", to_string(run.operation), run.ranks, run.accelerator,
                     run.nodes > 1 ? fmt::format(" on {} nodes", run.nodes) : "");
}

class Calibrator {
 public:
  explicit Calibrator(const CalibrationRequest& request) : request_(request) {}

  Calibrated run() {
    links();
    library();
    return std::move(out_);
  }

 private:
  // Sweeps of one system, in the order of the input.
  void links() {
    std::map<std::string, std::vector<const Measurement*>> sweeps;
    std::vector<std::string> order;
    for (const Measurement& m : request_.measurements) {
      auto& sweep = sweeps[m.group + "\n" + title_of(m) + "\n" + m.interconnect];
      if (sweep.empty()) order.push_back(m.group + "\n" + title_of(m) + "\n" + m.interconnect);
      sweep.push_back(&m);
    }
    for (const std::string& key : order) links_of(sweeps[key]);
  }

  void links_of(const std::vector<const Measurement*>& sweep) {
    const Measurement& first = *sweep.front();
    const auto system = system_of_run(first, described(first), request_.link);
    if (!system) return skip(title_of(first), system.error());
    std::vector<SizeTime> points;
    for (const Measurement* m : sweep) points.push_back({m->size, m->time});
    const std::string source = fmt::format("{}: {}", first.group, title_of(first));
    const auto fit = fit_links(*system, first.operation, first.ranks, points, source);
    if (!fit) return skip(title_of(first), fit.error());
    const char* note = "";
    if (fit->faster_than_ring)
      note = "some sizes are faster than a ring at line rate; efficiency 1 there";
    else if (fit->entries.size() == 2 && fit->left_out == fit->residual)
      note = "of two sizes none can be left out";
    out_.fits.push_back({title_of(first), fit->entries, fit->residual, fit->left_out, note});
  }

  void skip(const std::string& what, const Errors& errors) {
    out_.skipped.push_back(fmt::format("{}: {}", what, errors.front().message));
  }

  std::vector<FitRow> predictable_rows() {
    std::vector<FitRow> rows;
    for (const Measurement& m : request_.measurements) {
      const Described row = described(m);
      if (row.why_not.empty()) rows.push_back({row.run, m.time, m.group});
    }
    return rows;
  }

  void library() {
    const std::vector<FitRow> rows = predictable_rows();
    if (rows.size() < fewest_library_rows) return;
    const FitStart start = request_.from_scratch ? FitStart::round_figures : FitStart::as_given;
    const topology::Calibration fit = fitted(request_.base, rows, start);
    const LeftOut out = left_out(with_ranges(fit, rows), rows, start);
    CalibrationFit result;
    result.what = fmt::format("library: {} rows", rows.size());
    for (const std::size_t index : free_entries(fit, rows)) {
      result.entries.push_back(out.calibration.entries[index]);
      result.entries.back().source = source_of_library(rows);
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double measured = rows[i].measured.value;
      const double time = predict(rows[i].run, constants_of(rows[i].run, fit)).time.value;
      const auto count = static_cast<double>(rows.size());
      result.residual += std::abs(time / measured - 1) / count;
      result.left_out += std::abs(out.predicted[i].value / measured - 1) / count;
    }
    out_.fits.push_back(std::move(result));
  }

  static std::string source_of_library(const std::vector<FitRow>& rows) {
    std::set<std::string> groups;
    for (const FitRow& row : rows) groups.insert(row.group);
    return fmt::format("fit of collectives/library_time.hpp to {} rows of {} sources", rows.size(),
                       groups.size());
  }

  const CalibrationRequest& request_;
  Calibrated out_;
};

}  // namespace

Result<Calibrated> calibrate(const CalibrationRequest& request) {
  Calibrated calibrated = Calibrator(request).run();
  if (!calibrated.fits.empty()) return calibrated;
  Errors errors;
  for (const std::string& reason : calibrated.skipped) errors.push_back({{}, reason, ""});
  if (errors.empty()) errors.push_back({{}, "no measurements", ""});
  return tl::unexpected<Errors>(std::move(errors));
}

topology::Calibration calibration_of(const Calibrated& calibrated) {
  // What the first fit says of a parameter holds: two sweeps of one link would overlap.
  std::map<std::pair<std::string, std::string>, const CalibrationFit*> said;
  topology::Calibration calibration;
  for (const CalibrationFit& fit : calibrated.fits)
    for (const CalibrationEntry& entry : fit.entries)
      if (said.emplace(std::pair(entry.subject, entry.parameter), &fit).first->second == &fit)
        calibration.entries.push_back(entry);
  return calibration;
}

}  // namespace railwright::coordinator
