// `railwright validate`: every row of a table of measurements predicted, and how far off that is.
#include <iostream>
#include <memory>

#include "coordinator/console.hpp"
#include "coordinator/training.hpp"
#include "coordinator/validation/report.hpp"
#include "coordinator/validation/training/report.hpp"
#include "topology/document.hpp"

namespace railwright::coordinator {
namespace {

constexpr const char* own_name = "data/measurements/collectives.csv";

struct ValidateOptions {
  std::string data, calibration;
  bool json = false, quick = false;
};

Result<std::string> text_of(const ValidateOptions& options) {
  if (options.data.empty()) return std::string(own_measurements());
  return topology::read_text_file(options.data);
}

int refuse(const std::string& file) {
  return report(
      {{{file, 1, 1},
        "no table of measurements",
        "the header of a table of collectives has the columns op, bytes and time_us, that "
        "of a table of training steps step_time_s"}});
}

int nothing_predicted(const std::map<std::string, std::size_t>& skipped, const std::string& file) {
  std::string why;
  for (const auto& [reason, rows] : skipped)
    why += (why.empty() ? ": " : ", ") + reason + " (" + std::to_string(rows) + ")";
  return report(
      {{{file}, "no row could be predicted" + why, "docs/validate.md says what a row needs"}});
}

int validate_training(const std::string& text, const std::string& file,
                      const topology::Calibration& calibration, bool json) {
  const auto rows = parse_training_rows(text, file);
  if (!rows) return report(rows.error());
  const TrainingEvaluation evaluation = evaluate(*rows, calibration);
  if (evaluation.steps.empty()) return nothing_predicted(evaluation.skipped, file);
  if (json)
    print_json(to_json(evaluation, *rows));
  else
    std::cout << to_text(evaluation);
  return exit_ok;
}

int validate(const ValidateOptions& options) {
  const std::string file = options.data.empty() ? own_name : options.data;
  const auto calibration = calibration_from(options.calibration);
  if (!calibration) return report(calibration.error());
  const auto text = text_of(options);
  if (!text) return report(text.error());
  const MeasurementKind kind = kind_of_measurements(*text);
  if (kind == MeasurementKind::neither) return refuse(file);
  if (kind == MeasurementKind::training)
    return validate_training(*text, file, *calibration, options.json);
  const auto measurements = parse_measurements(*text, file);
  if (!measurements) return report(measurements.error());
  const Evaluation evaluation =
      evaluate(*measurements, *calibration, {.leave_out = !options.quick});
  if (evaluation.rows.empty()) return nothing_predicted(evaluation.skipped, file);
  if (options.json)
    print_json(to_json(evaluation, *measurements, *calibration));
  else
    std::cout << to_text(evaluation, *calibration);
  return exit_ok;
}

}  // namespace

void add_validate_command(CommandLine& line) {
  const auto options = std::make_shared<ValidateOptions>();
  CLI::App* app = line.app.add_subcommand(
      "validate",
      "Predict every row of a table of measured collectives or training steps and print the "
      "errors");
  app->add_option("--data", options->data,
                  "CSV file, columns in docs/validate.md (default: the published runs that come "
                  "with the program)");
  app->add_option("--calibration", options->calibration,
                  "calibration.json, laid over the defaults");
  app->add_flag("--quick", options->quick, "Without the errors that leave each group out of a fit");
  app->add_flag("--json", options->json, "One JSON document; errors are fractions");
  app->footer("Example: railwright validate --data collectives.csv");
  app->callback([&line, options] { line.run = [options] { return validate(*options); }; });
}

}  // namespace railwright::coordinator
