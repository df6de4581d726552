#include <algorithm>
#include <cassert>
#include <utility>

#include "collectives/library/embedded.hpp"
#include "collectives/library_time.hpp"
#include "topology/files/csv.hpp"

namespace railwright::collectives::library {
namespace {

constexpr std::pair<std::string_view, Wiring> wirings[] = {{"none", Wiring::none},
                                                           {"switched", Wiring::switched},
                                                           {"full_mesh", Wiring::full_mesh},
                                                           {"cube_mesh", Wiring::cube_mesh},
                                                           {"host", Wiring::host}};

Server server_in(const topology::CsvRow& row) {
  const auto wiring = std::find_if(std::begin(wirings), std::end(wirings), [&](const auto& entry) {
    return entry.first == row.text("wiring");
  });
  assert(wiring != std::end(wirings) && "data/servers.csv has a wiring that is none");
  return {.accelerator = row.text("accelerator"),
          .link = row.text("link"),
          .wiring = wiring->second,
          .rate = gigabytes_per_second(row.number("gigabytes_per_second")),
          .rack = static_cast<int>(row.number("rack")),
          .memory = gigabytes_per_second(row.number("memory_gigabytes_per_second")),
          .compute_capability = static_cast<int>(row.number("compute_capability")),
          .nic = gigabits_per_second(row.number("nic_gigabits_per_second"))};
}

std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (const char c : name)
    if (c == '-' || c == ' ' || c == '_')
      words.emplace_back();
    else
      words.back() += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return words;
}

// Every word that was written begins a word of the name, the first one its first.
bool abbreviates(const std::vector<std::string>& written, const std::vector<std::string>& name) {
  if (written.front() != name.front()) return false;
  return std::all_of(written.begin(), written.end(), [&](const std::string& word) {
    return std::any_of(name.begin(), name.end(),
                       [&](const std::string& whole) { return whole.starts_with(word); });
  });
}

}  // namespace

const std::vector<Server>& servers() {
  static const std::vector<Server> table = [] {
    std::vector<Server> read;
    for (const EmbeddedFile& file : embedded_servers()) {
      const auto rows = topology::parse_csv(file.text, std::string(file.name));
      assert(rows && "data/servers.csv is broken");
      for (const topology::CsvRow& row : *rows) read.push_back(server_in(row));
    }
    return read;
  }();
  return table;
}

const Server* server_of(std::string_view accelerator) {
  const std::vector<std::string> written = words_of(accelerator);
  for (const Server& server : servers())
    if (abbreviates(written, words_of(server.accelerator))) return &server;
  return nullptr;
}

}  // namespace railwright::collectives::library
