#include "topology/files/csv.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

namespace railwright::topology {
namespace {

// Reads records of cells; stops at the end of the text or at a quote that does not end.
class CsvScanner {
 public:
  explicit CsvScanner(std::string_view text) : text_(text) {}
  int line() const { return line_; }
  int first_line() const { return first_line_; }  // of the last record
  bool broken() const { return broken_; }

  std::optional<std::vector<std::string>> next() {
    while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) step();
    if (at_ >= text_.size()) return std::nullopt;
    first_line_ = line_;
    std::vector<std::string> cells(1);
    for (; at_ < text_.size() && text_[at_] != '\n'; step()) {
      const char c = text_[at_];
      if (c == '"' && cells.back().empty()) {
        if (!quoted(cells.back())) return std::nullopt;
      } else if (c == ',') {
        cells.emplace_back();
      } else if (c != '\r') {
        cells.back() += c;
      }
    }
    return cells;
  }

 private:
  void step() { line_ += text_[at_++] == '\n'; }
  // From the opening quote to the closing one, where it stops; "" inside stands for ".
  bool quoted(std::string& cell) {
    for (step(); at_ < text_.size(); step()) {
      if (text_[at_] == '"') {
        if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') return true;
        step();
      }
      cell += text_[at_];
    }
    broken_ = true;
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1, first_line_ = 1;
  bool broken_ = false;
};

}  // namespace

const std::string& CsvRow::text(std::string_view column) const {
  static const std::string empty;
  const auto found = cells.find(column);
  return found == cells.end() ? empty : found->second;
}

double CsvRow::number(std::string_view column, bool* bad) const {
  const std::string& cell = text(column);
  if (cell.empty()) return 0;
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  const bool good =
      error == std::errc() && end == cell.data() + cell.size() && std::isfinite(value);
  if (bad && !good) *bad = true;
  return good ? value : 0;
}

Result<std::vector<CsvRow>> parse_csv(std::string_view text, const std::string& file) {
  CsvScanner scanner(text);
  const auto header = scanner.next();
  if (!header) return failure({file, 1, 1}, "no header line");
  std::vector<CsvRow> rows;
  Errors errors;
  for (;;) {
    const auto cells = scanner.next();
    if (!cells) break;
    const int line = scanner.first_line();
    if (cells->size() != header->size()) {
      errors.push_back({{file, line, 1},
                        fmt::format("{} cells under a header of {}", cells->size(), header->size()),
                        ""});
      continue;
    }
    CsvRow row{line, {}};
    for (std::size_t i = 0; i < cells->size(); ++i) row.cells[(*header)[i]] = (*cells)[i];
    rows.push_back(std::move(row));
  }
  if (scanner.broken()) errors.push_back({{file, scanner.line(), 1}, "a quote does not end", ""});
  if (!errors.empty()) return tl::unexpected<Errors>(std::move(errors));
  return rows;
}

}  // namespace railwright::topology
