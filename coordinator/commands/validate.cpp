// `railwright validate`: every row of a table of measurements predicted, and how far off that is.
#include <iostream>
#include <memory>

#include "coordinator/console.hpp"
#include "coordinator/training.hpp"
#include "coordinator/validation/report.hpp"
#include "coordinator/validation/training/report.hpp"
#include "coordinator/validation/training/scatter.hpp"
#include "topology/document.hpp"
#include "topology/files/writable.hpp"
#include "topology/files/write_text_file.hpp"

namespace railwright::coordinator {
namespace {

struct ValidateOptions {
  std::string data, calibration, page;
  bool json = false, quick = false, leave_one_out = false;
};

using topology::Calibration;

int refuse(const std::string& file) {
  return report(
      {{{file, 1, 1},
        "no table of measurements",
        "the header of a table of collectives has the columns op, bytes and time_us, that "
        "of a table of training steps step_time_s"}});
}

tl::unexpected<Errors> nothing_predicted(const std::map<std::string, std::size_t>& skipped,
                                         const std::string& file) {
  std::string why;
  for (const auto& [reason, rows] : skipped)
    why += (why.empty() ? ": " : ", ") + reason + " (" + std::to_string(rows) + ")";
  return tl::unexpected<Errors>(
      {{{file}, "no row could be predicted" + why, "docs/validate.md says what a row needs"}});
}

// What one table says, in both forms; `page` for training steps alone.
struct Outcome {
  Json json;
  std::string text, page;
};

Result<Outcome> training_outcome(std::string_view text, const std::string& file,
                                 const Calibration& calibration, const ValidateOptions& options) {
  const auto rows = parse_training_rows(text, file);
  if (!rows) return tl::unexpected<Errors>(rows.error());
  const auto evaluation = evaluate(*rows, calibration, {.leave_out = options.leave_one_out});
  if (evaluation.steps.empty()) return nothing_predicted(evaluation.skipped, file);
  return Outcome{to_json(evaluation, *rows, calibration), to_text(evaluation, calibration),
                 scatter_page(evaluation, *rows)};
}

Result<Outcome> collectives_outcome(std::string_view text, const std::string& file,
                                    const Calibration& calibration,
                                    const ValidateOptions& options) {
  const auto measurements = parse_measurements(text, file);
  if (!measurements) return tl::unexpected<Errors>(measurements.error());
  const auto evaluation = evaluate(*measurements, calibration, {.leave_out = !options.quick});
  if (evaluation.rows.empty()) return nothing_predicted(evaluation.skipped, file);
  return Outcome{to_json(evaluation, *measurements, calibration), to_text(evaluation, calibration),
                 ""};
}

// The two tables that come with the program, one after the other.
Result<Outcome> own_outcome(const Calibration& calibration, const ValidateOptions& options) {
  auto steps =
      training_outcome(own_training_steps(), own_training_steps_name, calibration, options);
  if (!steps) return steps;
  const auto collectives =
      collectives_outcome(own_measurements(), own_measurements_name, calibration, options);
  if (!collectives) return collectives;
  for (const char* key : {"groups", "rows"})
    for (const Json& item : collectives->json.at(key)) steps->json[key].push_back(item);
  steps->json["collectives"] = collectives->json.at("collectives");
  steps->text = "Training steps\n\n" + steps->text + "\n\nCollectives\n\n" + collectives->text;
  return steps;
}

Result<Outcome> outcome_of(const Calibration& calibration, const ValidateOptions& options) {
  if (options.data.empty()) return own_outcome(calibration, options);
  const auto text = topology::read_text_file(options.data);
  if (!text) return tl::unexpected<Errors>(text.error());
  return kind_of_measurements(*text) == MeasurementKind::training
             ? training_outcome(*text, options.data, calibration, options)
             : collectives_outcome(*text, options.data, calibration, options);
}

int validate(const ValidateOptions& options) {
  const auto calibration = calibration_from(options.calibration);
  if (!calibration) return report(calibration.error());
  if (const auto error = topology::why_not_writable(options.page)) return report({*error});
  if (!options.data.empty()) {
    const auto text = topology::read_text_file(options.data);
    if (text && kind_of_measurements(*text) == MeasurementKind::neither)
      return refuse(options.data);
  }
  const auto outcome = outcome_of(*calibration, options);
  if (!outcome) return report(outcome.error());
  if (!options.page.empty()) {
    if (outcome->page.empty())
      return report({{{},
                      "--report is of training steps, and this is a table of collectives",
                      "leave it out, or name a table of training steps"}});
    const auto saved = topology::write_text_file(options.page, outcome->page);
    if (!saved) return report(saved.error());
  }
  if (options.json)
    print_json(outcome->json);
  else
    std::cout << outcome->text;
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
  app->add_option("--report", options->page,
                  "Training steps: write predicted against measured to this HTML file")
      ->check(a_path());
  app->add_flag("--leave-one-out", options->leave_one_out,
                "Training steps: also by constants that are fitted without each group");
  app->add_flag("--json", options->json, "One JSON document; errors are fractions");
  app->footer("Example: railwright validate --data collectives.csv");
  app->callback([&line, options] { line.run = [options] { return validate(*options); }; });
}

}  // namespace railwright::coordinator
