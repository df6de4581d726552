#include <fmt/format.h>

#include <algorithm>

#include "coordinator/collective/output.hpp"
#include "topology/version.hpp"

namespace railwright::coordinator {
namespace {

struct Column {
  std::string name, unit;
  bool left = false;  // words; numbers are flush right
};

// Two lines of header and the rows, as nccl-tests prints them: '#' and a blank in column 0.
class Lines {
 public:
  explicit Lines(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  std::string text() const {
    std::vector<std::string> names, units;
    for (const Column& column : columns_) {
      names.push_back(column.name);
      units.push_back(column.unit);
    }
    std::vector<std::size_t> widths(columns_.size());
    const auto widen = [&](const std::vector<std::string>& cells) {
      for (std::size_t i = 0; i < cells.size(); ++i)
        widths[i] = std::max(widths[i], cells[i].size());
    };
    widen(names);
    widen(units);
    std::ranges::for_each(rows_, widen);
    std::string text = line('#', names, widths) + line('#', units, widths);
    for (const auto& row : rows_) text += line(' ', row, widths);
    return text;
  }

 private:
  std::string line(char first, const std::vector<std::string>& cells,
                   const std::vector<std::size_t>& widths) const {
    std::string line(1, first);
    for (std::size_t i = 0; i < cells.size(); ++i)
      line += columns_[i].left ? fmt::format("  {:<{}}", cells[i], widths[i])
                               : fmt::format("  {:>{}}", cells[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
  }

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string microseconds_text(std::optional<Seconds> time) {
  return time ? fmt::format("{:.2f}", in_microseconds(*time)) : "-";
}
std::string rate_text(Bandwidth rate) {
  return fmt::format("{:.2f}", in_gigabytes_per_second(rate));
}
std::optional<Seconds> nccl_time(const Row& row) {
  if (!row.nccl_takes) return {};
  return row.nccl_takes->time();
}

const std::vector<Column> size_columns = {
    {"size", "(B)"}, {"count", "(elements)"}, {"type", ""}, {"redop", ""}, {"root", ""}};

std::vector<std::string> size_cells(const CollectiveRequest& request, const Row& row) {
  return {std::to_string(row.size.sent.count), std::to_string(count_of(request, row.size.sent)),
          std::string(request.type.name), collectives::reduces(request.operation) ? "sum" : "none",
          std::to_string(request.has_root() ? request.root : -1)};
}

void append(std::vector<std::string>& cells, std::vector<std::string> more) {
  cells.insert(cells.end(), more.begin(), more.end());
}

std::string table_of_one(const CollectiveRequest& request, const Sweep& sweep) {
  std::vector<Column> columns = size_columns;
  for (const Column& column : std::initializer_list<Column>{{"time", "(us)"},
                                                            {"algbw", "(GB/s)"},
                                                            {"busbw", "(GB/s)"},
                                                            {"algorithm", "", true},
                                                            {"expected", "(us)"},
                                                            {"NCCL", "(us)"},
                                                            {"NCCL takes", "", true},
                                                            {"attainable", "(us)"},
                                                            {"bound", "(us)"},
                                                            {"detail", "", true},
                                                            {"limited by", "", true}})
    columns.push_back(column);
  Lines lines(columns);
  for (const Row& row : sweep.rows) {
    std::vector<std::string> cells = size_cells(request, row);
    append(cells,
           {microseconds_text(row.time()), rate_text(row.algbw()), rate_text(row.busbw()),
            to_string(row.schedule().algorithm), microseconds_text(row.expected),
            microseconds_text(nccl_time(row)), row.nccl_takes ? nccl_name(*row.nccl_takes) : "-",
            microseconds_text(sweep.attainable_time(row)), microseconds_text(sweep.bound_time(row)),
            row.result.stepwise ? "steps" : "phases", limit_of(request, row)});
    lines.add(std::move(cells));
  }
  return lines.text();
}

std::string table_of_several(const CollectiveRequest& request, const Sweep& sweep) {
  std::vector<Column> columns = size_columns;
  for (const Wanted& wanted : request.wanted) {
    columns.push_back({wanted.word, "(us)"});
    columns.push_back({"busbw", "(GB/s)"});
    if (wanted.rule != Rule::named) columns.push_back({"takes", "", true});
  }
  for (const Column& column : std::initializer_list<Column>{{"fastest", "", true},
                                                            {"NCCL", "(us)"},
                                                            {"attainable", "(us)"},
                                                            {"bound", "(us)"},
                                                            {"limited by", "", true}})
    columns.push_back(column);
  Lines lines(columns);
  for (std::size_t i = 0; i < request.sizes.size(); ++i) {
    const Row* first = &sweep.rows[i * request.wanted.size()];
    std::vector<std::string> cells = size_cells(request, *first);
    for (const Row* row = first; row != first + request.wanted.size(); ++row) {
      append(cells, {microseconds_text(row->time()), rate_text(row->busbw())});
      if (row->wanted.rule != Rule::named) append(cells, {to_string(row->schedule().algorithm)});
    }
    const Row& fastest = fastest_of(request, sweep, i);
    append(cells, {fastest.wanted.word, microseconds_text(nccl_time(fastest)),
                   microseconds_text(sweep.attainable_time(fastest)),
                   microseconds_text(sweep.bound_time(fastest)), limit_of(request, fastest)});
    lines.add(std::move(cells));
  }
  return lines.text();
}

std::string averages(const CollectiveRequest& request, const Sweep& sweep) {
  std::string text;
  for (std::size_t w = 0; w < request.wanted.size(); ++w) {
    double sum = 0;
    for (std::size_t i = w; i < sweep.rows.size(); i += request.wanted.size())
      sum += in_gigabytes_per_second(sweep.rows[i].busbw());
    text += fmt::format("# Avg bus bandwidth    : {:.6g}",
                        sum / static_cast<double>(request.sizes.size()));
    text += request.wanted.size() > 1 ? fmt::format(" {}\n", request.wanted[w].word) : "\n";
  }
  return text;
}

}  // namespace

std::string sweep_text(const CollectiveRequest& request, const Sweep& sweep) {
  std::string text =
      fmt::format("# railwright {} collective: {}, emulated\n", tool_version, title_of(request));
  text +=
      fmt::format("# minBytes {} maxBytes {} step: {}(factor)\n", request.sizes.front().sent.count,
                  request.sizes.back().sent.count, request.sweeps() ? request.factor : 1);
  text += "#\n" + (request.wanted.size() == 1 ? table_of_one(request, sweep)
                                              : table_of_several(request, sweep));
  if (sweep.bound) text += fmt::format("# Bound: {}\n", sweep.bound->cut);
  if (sweep.bound_in_network)
    text += fmt::format("# Bound where switches reduce: {}\n", sweep.bound_in_network->cut);
  if (sweep.attainable) text += fmt::format("# Attainable: {}\n", sweep.attainable->how);
  for (const std::string& note : notes_of(request, sweep)) text += "# " + note + "\n";
  return text + averages(request, sweep);
}

}  // namespace railwright::coordinator
