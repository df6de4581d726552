#include "coordinator/validation/measurement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "coordinator/validation/embedded.hpp"
#include "topology/document.hpp"
#include "topology/files/csv.hpp"

namespace railwright::coordinator {
namespace {

using topology::CsvRow;
using workload::Operation;

constexpr std::array<const char*, 9> required = {
    "id", "group", "op", "accelerator", "ranks", "nodes", "per_node", "bytes", "time_us"};
constexpr std::array operations{Operation::all_reduce, Operation::all_gather,
                                Operation::reduce_scatter, Operation::broadcast,
                                Operation::all_to_all};
constexpr double most_ranks = 16'777'216;
constexpr double most_bytes = 1e15;
constexpr double longest_microseconds = 1e12;
constexpr double fastest_nic = 1e6;  // Gb/s

std::vector<std::string> header_of(std::string_view text) {
  const auto line = text.substr(0, text.find('\n'));
  const auto cells = topology::parse_csv(std::string(line) + "\n" + std::string(line), "header");
  std::vector<std::string> names;
  if (cells && !cells->empty())
    for (const auto& [name, cell] : cells->front().cells) names.push_back(name);
  return names;
}

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A row with the errors it collects.
class RowReader {
 public:
  RowReader(const CsvRow& row, const std::string& file, Errors& errors)
      : row_(row), file_(file), errors_(errors) {}

  double number(std::string_view column, double low, double high) {
    bool bad = row_.text(column).empty();
    const double value = row_.number(column, &bad);
    if (!bad && value >= low && value <= high) return value;
    fail(column, fmt::format("write a number from {:g} to {:g}", low, high));
    return low;
  }
  int whole(std::string_view column, double low, double high) {
    const double value = number(column, low, high);
    if (value != std::floor(value)) fail(column, "write a whole number");
    return static_cast<int>(value);
  }
  Operation operation() {
    const std::string& text = row_.text("op");
    for (const Operation known : operations)
      if (to_string(known) == text) return known;
    fail("op", "write all_reduce, all_gather, reduce_scatter, broadcast or all_to_all");
    return Operation::all_reduce;
  }
  void fail(std::string_view column, std::string hint) {
    errors_.push_back({{file_, row_.line, 1},
                       fmt::format("{} is '{}'", column, row_.text(column)),
                       std::move(hint)});
  }

 private:
  const CsvRow& row_;
  const std::string& file_;
  Errors& errors_;
};

Measurement measurement_of(const CsvRow& row, const std::string& file, Errors& errors) {
  RowReader read(row, file, errors);
  Measurement m;
  m.id = row.text("id");
  m.group = row.text("group");
  m.operation = read.operation();
  m.library = row.text("library");
  m.accelerator = row.text("accelerator");
  m.interconnect = row.text("interconnect");
  m.ranks = read.whole("ranks", 1, most_ranks);
  m.nodes = read.whole("nodes", 1, most_ranks);
  m.per_node = read.whole("per_node", 1, most_ranks);
  if (!row.text("nic_gbps_per_accelerator").empty())
    m.nic = gigabits_per_second(read.number("nic_gbps_per_accelerator", 0.001, fastest_nic));
  m.size = bytes(static_cast<std::uint64_t>(read.number("bytes", 0, most_bytes)));
  m.time = microseconds(read.number("time_us", 1e-6, longest_microseconds));
  return m;
}

Errors missing_columns(const std::vector<std::string>& names, const std::string& file) {
  Errors errors;
  for (const char* column : required)
    if (!has(names, column))
      errors.push_back(
          {{file, 1, 1},
           fmt::format("no column '{}'", column),
           fmt::format("a table of collectives has the columns {}", fmt::join(required, ", "))});
  return errors;
}

// By its path in the repository.
std::string_view embedded(std::string_view path) {
  for (const EmbeddedFile& file : embedded_measurements())
    if (path.ends_with(file.name)) return file.text;
  assert(false);
  return {};
}

}  // namespace

MeasurementKind kind_of_measurements(std::string_view text) {
  const std::vector<std::string> names = header_of(text);
  if (has(names, "bytes") && has(names, "op")) return MeasurementKind::collectives;
  if (has(names, "step_time_s")) return MeasurementKind::training;
  return MeasurementKind::neither;
}

Result<std::vector<Measurement>> parse_measurements(std::string_view text,
                                                    const std::string& file) {
  Errors errors = missing_columns(header_of(text), file);
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  const auto rows = topology::parse_csv(text, file);
  if (!rows) return tl::unexpected<Errors>(rows.error());
  std::vector<Measurement> measurements;
  measurements.reserve(rows->size());
  for (const CsvRow& row : *rows) measurements.push_back(measurement_of(row, file, errors));
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  return measurements;
}

std::string_view own_measurements() { return embedded(own_measurements_name); }
std::string_view own_training_steps() { return embedded(own_training_steps_name); }

}  // namespace railwright::coordinator
