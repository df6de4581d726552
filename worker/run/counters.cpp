#include "worker/run/counters.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "topology/quantity.hpp"

namespace railwright::worker {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    found.push_back(entry->path());
  std::sort(found.begin(), found.end());
  return found;
}

std::optional<double> number_in(const fs::path& path) {
  std::ifstream file(path);
  double value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

std::string first_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

telemetry::LinkSample sample(const std::string& link, const std::string& link_class) {
  telemetry::LinkSample result;
  result.link = link;
  result.link_class = link_class;
  result.source = "measured";
  return result;
}

// A speed that is not known reads as -1 or not at all.
void add_interfaces(const fs::path& root, std::vector<telemetry::LinkSample>& samples) {
  constexpr const char* loopback = "772";  // ARPHRD_LOOPBACK
  for (const fs::path& interface : entries(root / "class/net")) {
    const auto sent = number_in(interface / "statistics/tx_bytes");
    const auto received = number_in(interface / "statistics/rx_bytes");
    if (!sent || !received || first_word(interface / "type") == loopback) continue;
    telemetry::LinkSample port = sample(interface.filename(), "net");
    port.transmit_bytes = *sent;
    port.receive_bytes = *received;
    const double speed = number_in(interface / "speed").value_or(-1);  // Mb/s
    if (speed > 0)
      port.capacity_bytes_per_second = gigabits_per_second(speed / 1000).bytes_per_second;
    samples.push_back(std::move(port));
  }
}

// InfiniBand counts words of four bytes; the rate reads "400 Gb/sec (4X NDR)".
void add_ports(const fs::path& root, std::vector<telemetry::LinkSample>& samples) {
  constexpr double word = 4;
  for (const fs::path& device : entries(root / "class/infiniband"))
    for (const fs::path& place : entries(device / "ports")) {
      const auto sent = number_in(place / "counters/port_xmit_data");
      const auto received = number_in(place / "counters/port_rcv_data");
      if (!sent || !received) continue;
      telemetry::LinkSample port =
          sample(device.filename().string() + "/" + place.filename().string(), "infiniband");
      port.transmit_bytes = word * *sent;
      port.receive_bytes = word * *received;
      const double rate = number_in(place / "rate").value_or(0);
      if (rate > 0) port.capacity_bytes_per_second = gigabits_per_second(rate).bytes_per_second;
      samples.push_back(std::move(port));
    }
}

}  // namespace

std::vector<telemetry::LinkSample> port_counters(const std::string& root) {
  std::vector<telemetry::LinkSample> samples;
  add_interfaces(root, samples);
  add_ports(root, samples);
  return samples;
}

}  // namespace railwright::worker
