#include "coordinator/validation/training/row.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "topology/files/csv.hpp"

namespace railwright::coordinator {
namespace {

using topology::CsvRow;

constexpr double most = 1e9;
constexpr std::array<const char*, 14> required = {
    "id",    "group",   "framework",    "layers",      "hidden", "heads", "ffn_hidden",
    "vocab", "seq_len", "global_batch", "accelerator", "tp",     "pp",    "dp"};
constexpr std::array<const char*, 3> recomputes = {"none", "selective", "full"};

// A row with the errors it collects.
class Reader {
 public:
  Reader(const CsvRow& row, const std::string& file, Errors& errors)
      : row_(row), file_(file), errors_(errors) {}

  std::optional<double> number(std::string_view column, double low, double high) {
    if (row_.text(column).empty()) return {};
    bool bad = false;
    const double value = row_.number(column, &bad);
    if (!bad && value >= low && value <= high) return value;
    fail(column, fmt::format("write a number from {:g} to {:g}, or nothing", low, high));
    return {};
  }
  std::optional<int> whole(std::string_view column, double low = 1, double high = most) {
    const auto value = number(column, low, high);
    if (!value) return {};
    if (*value != std::floor(*value)) fail(column, "write a whole number");
    return static_cast<int>(*value);
  }
  int needed(std::string_view column) {
    if (row_.text(column).empty()) fail(column, "every row needs it");
    return whole(column).value_or(1);
  }
  std::optional<bool> flag(std::string_view column) {
    const auto value = whole(column, 0, 1);
    return value ? std::optional(*value != 0) : std::nullopt;
  }
  std::optional<double> gibibytes(std::string_view column) {
    const auto value = number(column, 0, most);
    return value ? std::optional(*value * static_cast<double>(railwright::gibibytes(1).count))
                 : std::nullopt;
  }
  std::optional<std::string> recompute() {
    const std::string& text = row_.text("recompute");
    if (text.empty()) return {};
    for (const char* known : recomputes)
      if (text == known) return text;
    fail("recompute", fmt::format("write {}, or nothing", fmt::join(recomputes, ", ")));
    return {};
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

void read_model(const CsvRow& row, Reader& read, TrainingRow& out) {
  out.model.name = row.text("model");
  out.model.layers = read.needed("layers");
  out.model.hidden = read.needed("hidden");
  out.model.heads = read.needed("heads");
  out.model.kv_heads = read.whole("kv_heads").value_or(static_cast<int>(out.model.heads));
  out.model.ffn_hidden = read.needed("ffn_hidden");
  out.model.vocabulary = read.needed("vocab");
  out.gated = read.flag("gated_mlp");
  out.experts = read.whole("experts", 0).value_or(0);
  out.top_k = read.whole("top_k", 0).value_or(0);
  out.sequence = read.needed("seq_len");
  out.global_batch = read.needed("global_batch");
  out.precision = row.text("precision");
}

void read_degrees(Reader& read, TrainingRow& out) {
  out.tp = read.needed("tp");
  out.pp = read.needed("pp");
  out.dp = read.needed("dp");
  out.vpp = read.whole("vpp").value_or(1);
  out.cp = read.whole("cp").value_or(1);
  out.ep = read.whole("ep").value_or(1);
  out.zero_stage = read.whole("zero_stage", 0, 3);
  out.shard_degree = read.whole("shard_degree");
  out.micro_batch = read.whole("micro_batch");
  out.recompute = read.recompute();
  out.sequence_parallel = read.flag("sequence_parallel");
}

TrainingRow row_of(const CsvRow& row, const std::string& file, Errors& errors) {
  Reader read(row, file, errors);
  TrainingRow out;
  out.line = row.line;
  out.id = row.text("id");
  out.group = row.text("group");
  out.framework = row.text("framework");
  out.accelerator = row.text("accelerator");
  read_model(row, read, out);
  read_degrees(read, out);
  out.accelerators = read.whole("accelerators").value_or(out.tp * out.pp * out.cp * out.dp);
  out.per_node = read.whole("per_node").value_or(8);
  if (const auto nic = read.number("nic_gbps_per_accelerator", 0.001, 1e6))
    out.nic = gigabits_per_second(*nic);
  if (const auto time = read.number("step_time_s", 1e-9, most)) out.step_time = seconds(*time);
  out.peak_memory = read.gibibytes("peak_memory_gib");
  out.activation_memory = read.gibibytes("activation_memory_gib");
  out.state_memory = read.gibibytes("state_memory_gib");
  out.fits = read.flag("fits");
  return out;
}

Errors missing_columns(const std::vector<CsvRow>& rows, const std::string& file) {
  Errors errors;
  for (const char* column : required)
    if (!rows.empty() && !rows.front().cells.contains(column))
      errors.push_back(
          {{file, 1, 1},
           fmt::format("no column '{}'", column),
           fmt::format("a table of training steps has the columns {}", fmt::join(required, ", "))});
  return errors;
}

}  // namespace

Result<std::vector<TrainingRow>> parse_training_rows(std::string_view text,
                                                     const std::string& file) {
  const auto rows = topology::parse_csv(text, file);
  if (!rows) return tl::unexpected<Errors>(rows.error());
  Errors errors = missing_columns(*rows, file);
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  std::vector<TrainingRow> out;
  out.reserve(rows->size());
  for (const CsvRow& row : *rows) out.push_back(row_of(row, file, errors));
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  return out;
}

}  // namespace railwright::coordinator
