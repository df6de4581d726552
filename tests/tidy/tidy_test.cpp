// The house rules as tests: arrows one way, sizes, banned calls, no dead files.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

// What each floor may include, itself apart.
const std::map<std::string, std::set<std::string>> arrows = {
    {"topology", {}},
    {"workload", {"topology"}},
    {"collectives", {"topology", "workload"}},
    {"emulator", {"topology", "workload", "collectives"}},
    {"telemetry", {"topology"}},
    {"worker", {"topology", "workload", "collectives", "emulator", "telemetry"}},
    {"coordinator", {"topology", "workload", "collectives", "emulator", "telemetry"}},
};

struct Source {
  std::string name;   // "topology/graph.cpp"
  std::string floor;  // "topology"
  std::vector<std::string> lines;
};

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

const std::vector<Source>& sources() {
  static const std::vector<Source> all = [] {
    std::vector<Source> found;
    const fs::path root = RAILWRIGHT_SOURCE_DIR;
    for (const auto& [floor, allowed] : arrows)
      for (const auto& entry : fs::recursive_directory_iterator(root / floor)) {
        const auto extension = entry.path().extension();
        if (extension != ".cpp" && extension != ".hpp") continue;
        found.push_back({fs::relative(entry.path(), root), floor, lines_of(entry.path())});
      }
    std::sort(found.begin(), found.end(),
              [](const Source& a, const Source& b) { return a.name < b.name; });
    return found;
  }();
  return all;
}

// A function starts where a line at column 0 ends in "{" and ends at the next "}" at column 0.
bool opens_function(const std::string& line) {
  static const std::regex other(
      R"(^(namespace|struct|class|enum|union|extern|const |constexpr |static |inline constexpr).*)");
  const bool opens = !line.empty() && line.back() == '{' && line[0] != ' ' && line[0] != '}';
  return opens && (line.find('(') != std::string::npos || line.rfind("    ", 0) == 0) &&
         (line.find(") {") != std::string::npos || !std::regex_match(line, other));
}

std::vector<std::string> long_functions(const Source& source, std::size_t limit) {
  std::vector<std::string> found;
  std::size_t start = 0;
  bool inside = false;
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const std::string& line = source.lines[i];
    if (!inside && opens_function(line)) {
      inside = true;
      start = i;
    } else if (inside && line == "}") {
      inside = false;
      if (i - start + 1 > limit)
        found.push_back(source.name + ":" + std::to_string(start + 1) + " has " +
                        std::to_string(i - start + 1) + " lines");
    }
  }
  return found;
}

void check_empty(const std::vector<std::string>& violations) {
  std::ostringstream text;
  for (const std::string& violation : violations) text << violation << "\n";
  INFO(text.str());
  CHECK(violations.empty());
}

}  // namespace

TEST_CASE("include arrows point one way between the floors") {
  static const std::regex include(R"re(^\s*#include\s+["<]([a-z_]+)/.*)re");
  std::vector<std::string> violations;
  for (const Source& source : sources())
    for (const std::string& line : source.lines) {
      std::smatch match;
      if (!std::regex_match(line, match, include)) continue;
      const std::string floor = match[1];
      if (!arrows.contains(floor) || floor == source.floor) continue;
      if (!arrows.at(source.floor).contains(floor))
        violations.push_back(source.name + " must not include " + floor);
    }
  check_empty(violations);
}

TEST_CASE("each floor has a public header of its own name that begins with its story") {
  const fs::path root = RAILWRIGHT_SOURCE_DIR;
  for (const auto& [floor, allowed] : arrows) {
    const auto header = lines_of(root / floor / (floor + ".hpp"));
    INFO(floor);
    REQUIRE(header.size() > 5);
    CHECK(header[0].rfind("// ", 0) == 0);
  }
}

TEST_CASE("lines, functions and files stay within their limits") {
  std::vector<std::string> violations;
  for (const Source& source : sources()) {
    if (source.lines.size() > 400)
      violations.push_back(source.name + " has " + std::to_string(source.lines.size()) + " lines");
    for (std::size_t i = 0; i < source.lines.size(); ++i)
      if (source.lines[i].size() > 100)
        violations.push_back(source.name + ":" + std::to_string(i + 1) + " is over 100 columns");
    for (const std::string& found : long_functions(source, 60)) violations.push_back(found);
  }
  check_empty(violations);
}

TEST_CASE("nothing below main reads the wall clock, throws dice or ends the process") {
  static const std::regex banned(
      R"(.*\b(rand|srand|exit|abort|system|printf)\s*\(.*|.*\bsystem_clock\b.*|.*std::\w+_distribution\b.*|.*\brandom_device\b.*)");
  static const std::regex comment(R"(^\s*//.*)");
  // The edges: real processes, real clocks, real terminals.
  const std::set<std::string> edges = {"worker", "coordinator", "telemetry"};
  std::vector<std::string> violations;
  for (const Source& source : sources()) {
    if (edges.contains(source.floor)) continue;
    for (std::size_t i = 0; i < source.lines.size(); ++i)
      if (std::regex_match(source.lines[i], banned) && !std::regex_match(source.lines[i], comment))
        violations.push_back(source.name + ":" + std::to_string(i + 1) + ": " + source.lines[i]);
  }
  check_empty(violations);
}

TEST_CASE("the lower floors do not print") {
  std::vector<std::string> violations;
  for (const Source& source : sources()) {
    if (source.floor == "worker" || source.floor == "coordinator") continue;
    for (std::size_t i = 0; i < source.lines.size(); ++i)
      if (source.lines[i].find("std::cout") != std::string::npos ||
          source.lines[i].find("std::cerr") != std::string::npos)
        violations.push_back(source.name + ":" + std::to_string(i + 1));
  }
  check_empty(violations);
}

TEST_CASE("every source file is listed in the CMakeLists.txt of its floor") {
  const fs::path root = RAILWRIGHT_SOURCE_DIR;
  std::map<std::string, std::string> lists;
  for (const auto& [floor, allowed] : arrows)
    for (const std::string& line : lines_of(root / floor / "CMakeLists.txt"))
      lists[floor] += line + "\n";
  std::vector<std::string> violations;
  for (const Source& source : sources()) {
    if (fs::path(source.name).extension() != ".cpp") continue;
    const std::string inside = source.name.substr(source.floor.size() + 1);
    if (lists[source.floor].find(inside) == std::string::npos)
      violations.push_back(source.name + " is not built");
  }
  check_empty(violations);
}

TEST_CASE("every header is included by somebody") {
  std::string everything;
  for (const Source& source : sources())
    for (const std::string& line : source.lines)
      if (line.rfind("#include \"", 0) == 0) everything += line + "\n";
  std::vector<std::string> violations;
  for (const Source& source : sources()) {
    const bool header = fs::path(source.name).extension() == ".hpp";
    const bool story = source.name == source.floor + "/" + source.floor + ".hpp";
    if (header && !story && everything.find("\"" + source.name + "\"") == std::string::npos)
      violations.push_back(source.name + " is dead");
  }
  check_empty(violations);
}

// What lets tests/tidy/CMakeLists.txt leave these headers out of those it compiles alone.
TEST_CASE("a source file includes the header of its own name first") {
  std::set<std::string> names;
  for (const Source& source : sources()) names.insert(source.name);
  std::vector<std::string> violations;
  for (const Source& source : sources()) {
    const std::string header = fs::path(source.name).replace_extension(".hpp").string();
    if (fs::path(source.name).extension() != ".cpp" || !names.contains(header)) continue;
    const auto first =
        std::find_if(source.lines.begin(), source.lines.end(),
                     [](const std::string& line) { return line.rfind("#include", 0) == 0; });
    if (first == source.lines.end() || *first != "#include \"" + header + "\"")
      violations.push_back(source.name);
  }
  check_empty(violations);
}
