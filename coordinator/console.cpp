#include "coordinator/console.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace railwright::coordinator {

int report(const Errors& errors) {
  std::cerr << to_string(errors);
  return exit_usage;
}

int report_usage(const std::string& message, const std::string& hint) {
  return report({{{}, message, hint}});
}

CLI::Validator a_path() {
  return {[](const std::string& path) {
            return path.empty() ? std::string("is empty; write the path of a file") : std::string();
          },
          "FILE"};
}

void print_json(const Json& document) { std::cout << document.dump(2) << "\n"; }

double Stopwatch::wall_s() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

std::int64_t Stopwatch::peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;  // Linux counts KiB here
}

std::function<void(double)> progress_bar(std::string label) {
  if (!isatty(STDERR_FILENO)) return [](double) {};
  return [label = std::move(label), shown = -1](double fraction) mutable {
    const int percent = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 100);
    if (percent == shown) return;
    shown = percent;
    const auto filled = static_cast<std::size_t>(percent * 30 / 100);
    std::cerr << fmt::format("\r{} [{:-<30}] {:3}%", label, std::string(filled, '#'), percent)
              << (percent == 100 ? "\r\033[K" : "") << std::flush;
  };
}

namespace {

bool is_number(const std::string& cell) {
  return !cell.empty() &&
         (std::isdigit(static_cast<unsigned char>(cell.back())) != 0 || cell.back() == '%') &&
         cell.find_first_not_of("0123456789.+-eE%") == std::string::npos;
}

bool is_blank(const std::string& cell) { return cell.empty() || cell == "-"; }

// A column is flush right when everything under its header is a number, or nothing.
bool is_numeric(const std::vector<std::vector<std::string>>& rows, std::size_t column) {
  bool numbers = false;
  for (std::size_t r = 1; r < rows.size(); ++r) {
    if (column >= rows[r].size() || is_blank(rows[r][column])) continue;
    if (!is_number(rows[r][column])) return false;
    numbers = true;
  }
  return numbers;
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> width;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i >= width.size()) width.push_back(0);
      width[i] = std::max(width[i], row[i].size());
    }
  std::vector<bool> right;
  for (std::size_t i = 0; i < width.size(); ++i) right.push_back(is_numeric(rows, i));
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += right[i] ? fmt::format("{:>{}}  ", row[i], width[i])
                       : fmt::format("{:<{}}  ", row[i], width[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace railwright::coordinator
