#include "coordinator/validation/description.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace railwright::coordinator {
namespace {

using collectives::library::Run;
using collectives::library::Server;
using collectives::library::Wiring;

constexpr int first_hopper = 90;
// The words of a network, the first that occurs wins.
constexpr std::pair<std::string_view, std::string_view> network_words[] = {
    {"efa", "efa"},         {"slingshot", "slingshot"},
    {"omni", "omni-path"},  {"roce", "roce"},
    {"gib", "roce"},        {"infiniband", "infiniband"},
    {" ib ", "infiniband"}, {"ndr", "infiniband"},
    {"hdr", "infiniband"},  {"edr", "infiniband"},
    {"tcp", "ethernet"},    {"ethernet", "ethernet"}};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The number in front of `unit`: 3200 of "efa 3200 gb/s per node".
std::optional<double> number_before(std::string_view text, std::string_view unit) {
  const std::size_t at = text.find(unit);
  if (at == std::string_view::npos) return {};
  std::size_t end = at;
  while (end > 0 && text[end - 1] == ' ') --end;
  std::size_t begin = end;
  while (begin > 0 && (is_digit(text[begin - 1]) || text[begin - 1] == '.')) --begin;
  double value = 0;
  const auto read = std::from_chars(text.data() + begin, text.data() + end, value);
  return read.ec == std::errc() && value > 0 ? std::optional(value) : std::nullopt;
}

// "2.21.5" of "nccl 2.21.5+cuda12", which must follow the name.
std::string version_after(std::string_view text, std::string_view name) {
  std::size_t at = text.find(name);
  if (at == std::string_view::npos) return {};
  at += name.size();
  while (at < text.size() && (text[at] == ' ' || text[at] == '-' || text[at] == 'v')) ++at;
  std::size_t end = at;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.')) ++end;
  while (end > at && text[end - 1] == '.') --end;
  const std::string version(text.substr(at, end - at));
  return version.find('.') == std::string::npos ? "" : version;
}

class Describer {
 public:
  explicit Describer(const Measurement& measurement)
      : m_(measurement), words_(" " + lower(measurement.interconnect) + " ") {}

  Described describe() {
    const Server* server = collectives::library::server_of(lower(m_.accelerator));
    if (!server) {
      out_.why_not = fmt::format("no server with '{}' is known", m_.accelerator);
      return std::move(out_);
    }
    out_.run.server = *server;
    out_.run.operation = m_.operation;
    out_.run.size = m_.size;
    out_.run.ranks = m_.ranks;
    out_.run.nodes = m_.nodes;
    wiring();
    library();
    if (m_.nodes > 1) network();
    out_.why_not = collectives::library::why_not(out_.run);
    return std::move(out_);
  }

 private:
  bool says(std::string_view word) const { return words_.find(word) != std::string::npos; }
  void assume(std::string what) { out_.defaults.push_back(std::move(what)); }

  void wiring() {
    Server& server = out_.run.server;
    if (server.wiring == Wiring::switched && says("mesh")) mesh(server);
    if (server.wiring == Wiring::cube_mesh && m_.per_node > 8) {
      server.rate = 6 * server.rate;  // DGX-2: all six links to NVSwitch
      server.wiring = Wiring::switched;
    }
    if (m_.interconnect.empty() || says("assumed")) assume("wiring of the node");
  }

  // A mesh without a switch gives each pair an equal part of the links, in whole ones of four.
  void mesh(Server& server) const {
    constexpr int usual_mesh = 4;
    server.wiring = Wiring::full_mesh;
    server.rate = bytes_per_second(server.rate.bytes_per_second / (usual_mesh - 1));
  }

  void library() {
    const std::string text = lower(m_.library);
    const bool rccl = text.find("rccl") != std::string::npos || m_.accelerator.starts_with("mi");
    const std::string name = rccl ? "rccl" : "nccl";
    const std::string version = version_after(text, name);
    out_.run.library = "library:" + name + (version.empty() ? "" : "@" + version);
    if (version.empty()) assume("version of the library");
    if (text.find("torch") != std::string::npos) out_.run.framework = "framework:torch";
    if (!rccl && !version.empty()) {
      const auto* tables = collectives::nccl::constants_for(version);
      out_.run.tables = tables ? tables : &collectives::nccl::all_constants().front();
    }
  }

  void network() {
    const auto* found = std::find_if(std::begin(network_words), std::end(network_words),
                                     [&](const auto& entry) { return says(entry.first); });
    const bool known = found != std::end(network_words);
    if (!known) assume("kind of network");
    out_.run.network = "network:" + std::string(known ? found->second : "infiniband");
    // The EFA of p4d and p4de nodes sends and receives, and does not keep the order of stores.
    if (known && found->second == "efa")
      out_.run.low_latency_protocols = out_.run.server.compute_capability >= first_hopper;
    nic();
  }

  void nic() {
    const auto of_node = number_before(words_, "gb/s per node");
    if (m_.nic) {
      out_.run.nic = *m_.nic;
    } else if (of_node && !says(" x ") && !says("x ")) {
      out_.run.nic = gigabits_per_second(*of_node / m_.per_node);
    } else {
      out_.run.nic = out_.run.server.nic;
      assume("rate of the NICs");
    }
  }

  const Measurement& m_;
  std::string words_;
  Described out_;
};

}  // namespace

Described described(const Measurement& measurement) { return Describer(measurement).describe(); }

std::string system_of(const Described& described) {
  const Run& run = described.run;
  const bool several = run.nodes > 1;
  return fmt::format("{} {} {} {} {} {} {}", to_string(run.operation), run.server.accelerator,
                     static_cast<int>(run.server.wiring), run.ranks, run.nodes,
                     several ? run.network : "", several ? run.nic.bytes_per_second : 0);
}

}  // namespace railwright::coordinator
