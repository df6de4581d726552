// `railwright calibrate`: constants fitted to measured runs, as a calibration file.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "coordinator/calibration/calibration.hpp"
#include "coordinator/calibration/kernel_runs.hpp"
#include "coordinator/calibration/runs.hpp"
#include "coordinator/calibration/step_fit.hpp"
#include "coordinator/console.hpp"
#include "coordinator/training.hpp"
#include "topology/calibration_overlay.hpp"
#include "topology/document.hpp"
#include "topology/files/writable.hpp"
#include "topology/files/write_text_file.hpp"
#include "topology/quantity.hpp"

namespace railwright::coordinator {
namespace {

using topology::CalibrationEntry;

struct CalibrateOptions {
  std::vector<std::string> files;
  std::string output, subject, operation, accelerator, library, network, nic, calibration;
  bool in_place = false, from_scratch = false, json = false;
};

Result<RunHints> hints_of(const CalibrateOptions& options) {
  RunHints hints;
  Errors errors;
  if (!options.operation.empty()) {
    hints.operation =
        operation_of_program(options.operation == "all_to_all" ? "alltoall" : options.operation);
    if (!hints.operation)
      errors.push_back({{},
                        fmt::format("--op '{}' is no collective", options.operation),
                        "write all_reduce, all_gather, reduce_scatter, broadcast or all_to_all"});
  }
  if (!options.nic.empty()) {
    const auto rate = parse_bandwidth(options.nic);
    if (!rate)
      errors.push_back({{}, "--nic: " + rate.error().message, rate.error().hint});
    else
      hints.nic = *rate;
  }
  hints.accelerator = options.accelerator;
  hints.library = options.library;
  hints.interconnect = options.network;
  hints.in_place = options.in_place;
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  return hints;
}

Result<std::vector<Measurement>> read_all(const CalibrateOptions& options, const RunHints& hints) {
  std::vector<Measurement> all;
  Errors errors;
  const auto take = [&](const Errors& more) {
    errors.insert(errors.end(), more.begin(), more.end());
  };
  for (const std::string& file : options.files) {
    const auto text = topology::read_text_file(file);
    if (!text) {
      take(text.error());
      continue;
    }
    if (is_of_kernels(*text)) continue;
    const auto runs = read_runs(*text, file, hints);
    if (!runs)
      take(runs.error());
    else
      all.insert(all.end(), runs->begin(), runs->end());
  }
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  return all;
}

Result<CalibrationRequest> request_of(const CalibrateOptions& options) {
  if (!options.subject.empty() &&
      topology::subject_sort(options.subject) != topology::SubjectSort::link)
    return failure({}, fmt::format("--subject '{}' is no link kind", options.subject),
                   "railwright topology list shows them");
  if (const auto error = topology::why_not_writable(options.output))
    return tl::unexpected<Errors>(Errors{*error});
  const auto hints = hints_of(options);
  if (!hints) return tl::unexpected<Errors>(hints.error());
  auto measurements = read_all(options, *hints);
  if (!measurements) return tl::unexpected<Errors>(std::move(measurements.error()));
  auto base = calibration_from(options.calibration);
  if (!base) return tl::unexpected<Errors>(std::move(base.error()));
  return CalibrationRequest{std::move(*measurements), std::move(*base), options.subject,
                            options.from_scratch};
}

Json entry_json(const CalibrationEntry& entry) {
  return {{"subject", entry.subject},
          {"parameter", entry.parameter},
          {"unit", entry.unit},
          {"value", entry.value},
          {"standard_error", entry.standard_error},
          {"n", entry.n},
          {"valid_low", entry.valid_low},
          {"valid_high", entry.valid_high}};
}

// A fit that misses by more than this describes something else than what was measured.
constexpr double poor_fit = 0.5;

std::string note_of(const CalibrationFit& fit) {
  if (fit.residual <= poor_fit) return fit.note;
  return fit.note + (fit.note.empty() ? "" : "\n") +
         "the model does not describe these runs: check units, ranks, nodes and the network";
}

Json calibrated_json(const Calibrated& calibrated) {
  Json out{{"fits", Json::array()}, {"skipped", calibrated.skipped}};
  for (const CalibrationFit& fit : calibrated.fits) {
    Json item{{"what", fit.what}, {"parameters", Json::array()}};
    for (const CalibrationEntry& entry : fit.entries)
      item["parameters"].push_back(entry_json(entry));
    item["residual"] = fit.residual;
    item["left_out"] = fit.left_out;
    if (const std::string note = note_of(fit); !note.empty()) item["note"] = note;
    out["fits"].push_back(std::move(item));
  }
  return out;
}

// Ends of the range in which an entry holds: FLOPs of products, else bytes.
std::string range_text(const CalibrationEntry& entry, double end) {
  if (entry.parameter.starts_with("gemm_")) return fmt::format("{:.3g} FLOP", end);
  return to_string(Bytes{static_cast<std::uint64_t>(end)});
}

std::string calibrated_text(const Calibrated& calibrated) {
  std::string text;
  for (const CalibrationFit& fit : calibrated.fits) {
    text += fmt::format("{}\nmean error {:.1f} %, {:.1f} % of what a fit left out\n", fit.what,
                        100 * fit.residual, 100 * fit.left_out);
    if (const std::string note = note_of(fit); !note.empty()) text += note + "\n";
    std::vector<std::vector<std::string>> rows{
        {"subject", "parameter", "value", "error", "unit", "n", "from", "to"}};
    for (const CalibrationEntry& entry : fit.entries)
      rows.push_back({entry.subject, entry.parameter, fmt::format("{:.4g}", entry.value),
                      fmt::format("{:.2g}", entry.standard_error), entry.unit,
                      std::to_string(entry.n), range_text(entry, entry.valid_low),
                      range_text(entry, entry.valid_high)});
    text += table(rows) + "\n";
  }
  return text;
}

// What no machine can be: times in another unit, another number of ranks.
Errors misfits_of(const Calibrated& calibrated) {
  Errors errors;
  for (const CalibrationFit& fit : calibrated.fits)
    for (const CalibrationEntry& entry : fit.entries)
      if (std::string why = topology::misfit_of(entry); !why.empty())
        errors.push_back({{}, fit.what + ": " + why, "check units, ranks and nodes of the runs"});
  return errors;
}

// Tables of training steps are fitted by themselves: all files are such, or none is.
Result<bool> are_training_steps(const CalibrateOptions& options) {
  std::size_t steps = 0;
  for (const std::string& file : options.files) {
    const auto text = topology::read_text_file(file);
    if (!text) return tl::unexpected<Errors>(text.error());
    steps += kind_of_measurements(*text) == MeasurementKind::training;
  }
  if (steps > 0 && steps < options.files.size())
    return failure({}, "training steps and collectives in one fit",
                   "calibrate them one after the other, the second with --calibration");
  return steps > 0;
}

Result<Calibrated> calibrated_steps(const CalibrateOptions& options) {
  std::vector<TrainingRow> rows;
  for (const std::string& file : options.files) {
    const auto text = topology::read_text_file(file);
    if (!text) return tl::unexpected<Errors>(text.error());
    const auto more = parse_training_rows(*text, file);
    if (!more) return tl::unexpected<Errors>(more.error());
    rows.insert(rows.end(), more->begin(), more->end());
  }
  if (const auto error = topology::why_not_writable(options.output))
    return tl::unexpected<Errors>(Errors{*error});
  const auto base = calibration_from(options.calibration);
  if (!base) return tl::unexpected<Errors>(base.error());
  auto fit = fit_steps(rows, *base, options.from_scratch);
  if (!fit) return tl::unexpected<Errors>(fit.error());
  return Calibrated{{std::move(*fit)}, {}};
}

Result<std::vector<CalibrationFit>> kernel_fits(const CalibrateOptions& options) {
  std::vector<CalibrationFit> fits;
  Errors errors;
  for (const std::string& file : options.files) {
    const auto text = topology::read_text_file(file);
    if (!text || !is_of_kernels(*text)) continue;  // the readers of runs say what is wrong with it
    auto fit = fit_kernels(*text, file, options.accelerator);
    if (fit)
      fits.push_back(std::move(*fit));
    else
      errors.insert(errors.end(), fit.error().begin(), fit.error().end());
  }
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  return fits;
}

// Collectives, probes and kernels; what is fitted to one kind says nothing of another.
Result<Calibrated> calibrated_runs(const CalibrateOptions& options) {
  const auto request = request_of(options);
  if (!request) return tl::unexpected<Errors>(request.error());
  const auto kernels = kernel_fits(options);
  if (!kernels) return tl::unexpected<Errors>(kernels.error());
  if (request->measurements.empty() && !kernels->empty()) return Calibrated{*kernels, {}};
  auto calibrated = calibrate(*request);
  if (calibrated) calibrated->fits.insert(calibrated->fits.end(), kernels->begin(), kernels->end());
  return calibrated;
}

int calibrate_command(const CalibrateOptions& options) {
  const auto steps = are_training_steps(options);
  if (!steps) return report(steps.error());
  const auto calibrated = *steps ? calibrated_steps(options) : calibrated_runs(options);
  if (!calibrated) return report(calibrated.error());
  if (const Errors errors = misfits_of(*calibrated); !errors.empty()) return report(errors);
  for (const std::string& reason : calibrated->skipped) std::cerr << "skipped: " << reason << "\n";
  if (!options.output.empty()) {
    const auto saved =
        topology::write_text_file(options.output, topology::to_json(calibration_of(*calibrated)));
    if (!saved) return report(saved.error());
    std::cerr << fmt::format("wrote {0}; use it with --calibration {0}\n", options.output);
  }
  if (options.json)
    print_json(calibrated_json(*calibrated));
  else
    std::cout << calibrated_text(*calibrated);
  return exit_ok;
}

void add_options(CLI::App& app, CalibrateOptions& options) {
  app.add_option("files", options.files,
                 "Output or JSON of nccl-tests, JSON of railwright-worker bench, probe or "
                 "kernels, or tables of measurements (docs/validate.md)")
      ->required();
  app.add_option("-o,--output", options.output, "Write the entries to this calibration.json")
      ->check(a_path());
  app.add_option("--subject", options.subject,
                 "Link kind that holds the run back (default: of accelerator and network)");
  app.add_option("--op", options.operation, "Collective, where a file does not say it");
  app.add_option("--accelerator", options.accelerator, "Of the catalogue, where a file is silent");
  app.add_option("--library", options.library, "\"NCCL 2.21.5\", where a file is silent");
  app.add_option("--network", options.network,
                 "infiniband, roce, efa, slingshot, omni-path or ethernet");
  app.add_option("--nic", options.nic, "Rate of the NICs per accelerator: \"400 Gb/s\"");
  app.add_option("--calibration", options.calibration,
                 "calibration.json that the fit starts from, over the defaults");
  app.add_flag("--in-place", options.in_place, "Take the in-place columns");
  app.add_flag("--from-scratch", options.from_scratch,
               "The constants start from round figures instead of the calibration");
  app.add_flag("--json", options.json, "One JSON document, SI units");
  app.footer("Example: railwright calibrate all_reduce.txt -o calibration.json");
}

}  // namespace

void add_calibrate_command(CommandLine& line) {
  const auto options = std::make_shared<CalibrateOptions>();
  CLI::App* app = line.app.add_subcommand(
      "calibrate", "Fit a calibration file to measured collectives, kernels or training steps");
  add_options(*app, *options);
  app->callback([&line, options] { line.run = [options] { return calibrate_command(*options); }; });
}

}  // namespace railwright::coordinator
