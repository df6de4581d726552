#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "coordinator/calibration/runs.hpp"

namespace railwright::coordinator {
namespace {

// Columns of a row, counted from its first: size count type redop [root] time algbw busbw #wrong,
// then the last four again for in place.
struct Columns {
  std::size_t out_of_place = 4, in_place = 8;
};

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while ((at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos) {
    const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

// mpirun --tag-output writes "[1,0]<stdout>:", others "[0] " in front.
std::string_view without_tag(std::string_view line) {
  if (!line.starts_with('[')) return line;
  const std::size_t end = line.find(']');
  if (end == std::string_view::npos) return line;
  line.remove_prefix(end + 1);
  if (line.starts_with("<stdout>:")) line.remove_prefix(9);
  return line;
}

template <class T>
std::optional<T> number(std::string_view word) {
  T value{};
  const auto read = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool whole = read.ec == std::errc() && read.ptr == word.data() + word.size();
  return whole ? std::optional(value) : std::nullopt;
}

std::string_view after(std::string_view line, std::string_view words) {
  const std::size_t at = line.find(words);
  return at == std::string_view::npos ? std::string_view{} : line.substr(at + words.size());
}

class TableReader {
 public:
  TableReader(const std::string& file, const RunHints& hints) : file_(file), hints_(hints) {}

  void read(std::string_view line) {
    ++line_;
    line = without_tag(line);
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty()) return;
    if (words.front().starts_with('#') || !number<std::uint64_t>(words.front()))
      comment(line, words);
    else
      row(words);
  }

  Result<std::vector<Measurement>> result() {
    if (!errors_.empty()) return tl::unexpected<Errors>(std::move(errors_));
    if (rows_.empty())
      return failure({file_, 1, 1}, "no row of nccl-tests in it",
                     "give the output of all_reduce_perf, its JSON, the JSON of railwright-worker "
                     "bench, or a table of measurements");
    const auto run = run_of(head_, hints_, file_);
    if (!run) return tl::unexpected<Errors>(run.error());
    std::vector<Measurement> measurements;
    for (const auto& [size, time] : rows_) {
      measurements.push_back(*run);
      measurements.back().id = fmt::format("{}:{}", file_, size.count);
      measurements.back().size = size;
      measurements.back().time = time;
    }
    return measurements;
  }

 private:
  void comment(std::string_view line, const std::vector<std::string_view>& words) {
    if (const auto program = after(line, "Collective test starting:"); !program.empty())
      head_.operation = operation_of_program(program);
    else if (!head_.operation && line.find("_perf") != std::string_view::npos)
      head_.operation = operation_of_program(line);  // the command, pasted above its output
    if (words.size() > 2 && words[0] == "#" && words[1] == "Rank") rank(line);
    if (words.size() > 2 && words[1] == "size")
      columns_ = line.find("root") == std::string_view::npos ? Columns{} : Columns{5, 9};
    version(line);
  }

  void version(std::string_view line) {
    if (const auto code = words_of(after(line, "nccl-library=")); !code.empty())
      head_.library = library_of_code(number<int>(code.front()).value_or(0));
    if (const auto text = words_of(after(line, "NCCL version ")); !text.empty())
      head_.library = "NCCL " + std::string(text.front());
    if (line.find("rccl-tests") != std::string_view::npos && head_.library.empty())
      head_.library = "rccl-tests";
  }

  // "#  Rank  0 Group  0 Pid 895544 on     h100-2 device  0 [0002:00:01] NVIDIA H100 80GB HBM3"
  void rank(std::string_view line) {
    const auto host = words_of(after(line, " on "));
    if (host.empty()) return;
    head_.hosts.emplace_back(host.front());
    const auto bus = after(line, "] ");
    if (head_.device.empty() && !bus.empty()) head_.device = bus;
  }

  void row(const std::vector<std::string_view>& words) {
    const std::size_t wanted = hints_.in_place ? columns_.in_place : columns_.out_of_place;
    auto time = words.size() > wanted ? number<double>(words[wanted]) : std::nullopt;
    // railwright-worker has no out-of-place columns, and prints N/A.
    if (!time && words.size() > columns_.in_place) time = number<double>(words[columns_.in_place]);
    if (words.size() <= wanted || !time || !(*time > 0) || !std::isfinite(*time)) {
      errors_.push_back({{file_, line_, 1},
                         fmt::format("a row of {} words without a time", words.size()),
                         "give the table as nccl-tests prints it"});
      return;
    }
    rows_.emplace_back(bytes(*number<std::uint64_t>(words.front())), microseconds(*time));
  }

  const std::string& file_;
  const RunHints& hints_;
  RunHead head_;
  Columns columns_{5, 9};
  std::vector<std::pair<Bytes, Seconds>> rows_;
  Errors errors_;
  int line_ = 0;
};

}  // namespace

Result<std::vector<Measurement>> read_nccl_tests_text(std::string_view text,
                                                      const std::string& file,
                                                      const RunHints& hints) {
  TableReader reader(file, hints);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    reader.read(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.result();
}

}  // namespace railwright::coordinator
