// Comma-separated values with a header line and RFC 4180 quoting.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"

namespace railwright::topology {

struct CsvRow {
  int line = 0;
  std::map<std::string, std::string, std::less<>> cells;   // by the name in the header
  const std::string& text(std::string_view column) const;  // "" when there is no such column
  // 0 when the cell is empty; `bad` is set when it is no finite number.
  double number(std::string_view column, bool* bad = nullptr) const;
};

// Errors: no header, a quote that does not end, a row with more or fewer cells than the header.
Result<std::vector<CsvRow>> parse_csv(std::string_view text, const std::string& file);

}  // namespace railwright::topology
