#include "topology/files/parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "topology/files/names.hpp"
#include "topology/topology.hpp"

namespace railwright::topology {
namespace {

constexpr std::size_t max_classes = 65535;

template <class T>
const T* named(const std::vector<T>& entries, std::string_view name) {
  for (const T& entry : entries)
    if (entry.name == name) return &entry;
  return nullptr;
}

template <class T>
std::vector<std::string> names_of(const std::vector<T>& entries) {
  std::vector<std::string> names;
  for (const T& entry : entries) names.push_back(entry.name);
  return names;
}

// The catalogue entry that a `kind:` or `base:` names, else an error and an empty one.
template <class T>
T base_of(const Cursor& reference, const std::vector<T>& catalogue, std::string_view what) {
  const std::string name = reference.text();
  if (name.empty()) return {};
  if (const T* found = named(catalogue, name)) return *found;
  std::string hint = closest_hint(name, names_of(catalogue));
  if (hint.empty()) hint = "`railwright topology list` prints the known ones";
  reference.error(fmt::format("unknown {} '{}'", what, name), hint);
  return {};
}

bool vendors_double_it(std::string_view kind) {
  return kind.starts_with("nvlink") || kind.starts_with("xgmi") || kind.starts_with("tpu-ici") ||
         kind.starts_with("pcie");
}

// Data sheets print the sum of both directions for these links.
void warn_of_doubled_rate(const Cursor& bandwidth, const LinkClass& base, Bandwidth given) {
  if (!vendors_double_it(base.kind)) return;
  if (std::abs(given / base.capacity - 2) > 1e-6) return;
  bandwidth.warn(fmt::format("{} is the sum of both directions of {}", to_string(given), base.kind),
                 fmt::format("rates are per direction: write '{}'", to_string(base.capacity)));
}

// Keeps typing errors ("1e30 s") out of every sum that follows.
template <class Quantity>
void check_range(const Cursor& cursor, Quantity value, Quantity low, Quantity high) {
  const bool unread = value == Quantity{};  // zero, or the reader has complained already
  if (!cursor.present() || unread || (value >= low && value <= high)) return;
  cursor.error(
      fmt::format("{} is outside of {} to {}", to_string(value), to_string(low), to_string(high)),
      "write a physical value");
}

constexpr FlopRate slowest_accelerator{1e6}, fastest_accelerator{1e21};
constexpr Bandwidth slowest_link = bytes_per_second(1e3), fastest_link = bytes_per_second(1e18);

LinkClass link_class_from(const std::string& name, const Cursor& cursor) {
  Fields fields = cursor.fields();
  const Cursor kind = fields.find("kind");
  const LinkClass base = base_of(kind, link_catalogue(), "link kind");
  const bool known = kind.present();
  LinkClass link = base;
  link.name = name;
  link.medium = fields.find("medium").choice<Medium>(medium_names, base.medium);
  const Cursor bandwidth = known ? fields.find("bandwidth") : fields.require("bandwidth");
  link.capacity = bandwidth.bandwidth(base.capacity);
  check_range(bandwidth, link.capacity, slowest_link, fastest_link);
  const Cursor latency = known ? fields.find("latency") : fields.require("latency");
  link.latency = latency.seconds(base.latency);
  check_range(latency, link.latency, seconds(0), seconds(1));
  link.energy = fields.find("energy").joules_per_bit(base.energy);
  link.idle_power = fields.find("idle_power").watts(base.idle_power);
  link.cost = fields.find("cost").dollars(base.cost);
  link.failures_per_year = fields.find("failures_per_year").number(0, 1e6, base.failures_per_year);
  if (bandwidth.present() && !base.kind.empty())
    warn_of_doubled_rate(bandwidth, base, link.capacity);
  fields.finish();
  return link;
}

void read_peaks(const Cursor& cursor, AcceleratorKind& kind) {
  Fields fields = cursor.fields();
  if (fields.map().present()) kind.peak.clear();
  for (const auto& [name, precision] : precision_names)
    if (const Cursor rate = fields.find(name); rate.present()) {
      kind.peak[precision] = rate.flop_rate();
      check_range(rate, kind.peak[precision], slowest_accelerator, fastest_accelerator);
    }
  if (fields.map().present() && kind.peak.empty())
    cursor.error("no rate", "write at least one, such as bf16: 100 TFLOP/s");
  fields.finish();
}

// What was measured on the base holds for what is built on it. "" when the subject is the
// accelerator's own name, so that equal kinds are equal values.
std::string subject_of(const std::string& name, const Cursor& written, const std::string& base) {
  const std::string subject = written.text(base);
  check_name(written, subject);
  return subject == name ? "" : subject;
}

AcceleratorKind accelerator_from(const std::string& name, const Cursor& cursor) {
  Fields fields = cursor.fields();
  const Cursor base_name = fields.find("base");
  const AcceleratorKind base = base_of(base_name, accelerator_catalogue(), "accelerator");
  const auto needed = [&](std::string_view key) {
    return base_name.present() ? fields.find(key) : fields.require(key);
  };
  AcceleratorKind kind = base;
  kind.name = name;
  kind.calibrated_as = subject_of(name, fields.find("calibrated_as"), base.name);
  kind.vendor = fields.find("vendor").text(base.vendor);
  read_peaks(needed("peak"), kind);
  kind.memory = needed("memory").bytes(base.memory);
  const Cursor memory_bandwidth = needed("memory_bandwidth");
  kind.memory_bandwidth = memory_bandwidth.bandwidth(base.memory_bandwidth);
  check_range(memory_bandwidth, kind.memory_bandwidth, slowest_link, fastest_link);
  kind.compute_units =
      static_cast<int>(fields.find("compute_units").integer(0, 1 << 20, base.compute_units));
  kind.power = fields.find("power").watts(base.power);
  kind.price = fields.find("price").dollars(base.price);
  kind.dollars_per_hour = fields.find("price_per_hour").dollars({base.dollars_per_hour}).value;
  kind.source = fields.find("source").text(base.source);
  kind.status = fields.find("status").text(base.status);
  fields.finish();
  return kind;
}

}  // namespace

bool is_name(std::string_view word) {
  return !word.empty() && word.size() <= 64 && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

void check_name(const Cursor& cursor, std::string_view word) {
  if (cursor.present() && !is_name(word))
    cursor.error(fmt::format("'{}' is no name", word.substr(0, 40)),
                 "use letters, digits, '_', '-' and '.', at most 64");
}

template <class T>
int Parts::Table<T>::add(T entry) {
  const int place = static_cast<int>(entries.size());
  index.emplace(entry.name, place);
  entries.push_back(std::move(entry));
  used.push_back(false);
  return place;
}

template <class T>
int Parts::Table<T>::refer(const Cursor& reference, const std::vector<T>& catalogue,
                           std::string_view what) {
  const std::string name = reference.text();
  if (name.empty()) return 0;
  auto found = index.find(name);
  if (found == index.end()) {
    if (const T* known = named(catalogue, name)) {
      const int place = add(*known);
      used[static_cast<std::size_t>(place)] = true;
      return place;
    }
    std::vector<std::string> names = names_of(entries);
    for (const T& entry : catalogue) names.push_back(entry.name);
    std::string hint = closest_hint(name, names);
    if (hint.empty()) hint = "define it in the file, or see `railwright topology list`";
    reference.error(fmt::format("unknown {} '{}'", what, name), hint);
    return 0;
  }
  used[static_cast<std::size_t>(found->second)] = true;
  return found->second;
}

void Parts::read_link_classes(const Cursor& map) {
  for (const auto& [name, cursor] : map.entries()) {
    if (name.starts_with("x-")) continue;
    check_name(cursor, name);
    if (classes_.index.contains(name)) continue;  // a duplicate key, reported already
    classes_.add(link_class_from(name, cursor));
    classes_.written.push_back(cursor);
  }
  if (classes_.entries.size() > max_classes) map.error("more than 65535 link classes");
}

void Parts::read_accelerators(const Cursor& map) {
  for (const auto& [name, cursor] : map.entries()) {
    if (name.starts_with("x-")) continue;
    check_name(cursor, name);
    if (kinds_.index.contains(name)) continue;
    kinds_.add(accelerator_from(name, cursor));
    kinds_.written.push_back(cursor);
  }
}

ClassId Parts::link_class(const Cursor& reference) {
  return {static_cast<std::uint16_t>(classes_.refer(reference, link_catalogue(), "link class"))};
}

int Parts::accelerator(const Cursor& reference) {
  return kinds_.refer(reference, accelerator_catalogue(), "accelerator");
}

// place[i] = rank of entry i by name.
template <class T>
std::vector<int> Parts::sorted_places(const Table<T>& table) {
  std::vector<int> place(table.entries.size());
  int rank = 0;
  for (const auto& [name, entry] : table.index) place[static_cast<std::size_t>(entry)] = rank++;
  for (std::size_t i = 0; i < table.written.size(); ++i)
    if (!table.used[i]) table.written[i].warn("nothing uses it", "leave it out");
  return place;
}

void Parts::finish(ClusterSpec& spec) const {
  const std::vector<int> class_place = sorted_places(classes_), kind_place = sorted_places(kinds_);
  for (const auto& [name, entry] : classes_.index)
    spec.link_classes.push_back(classes_.entries[static_cast<std::size_t>(entry)]);
  for (const auto& [name, entry] : kinds_.index)
    spec.accelerator_kinds.push_back(kinds_.entries[static_cast<std::size_t>(entry)]);
  const auto move = [&](ClassId& id) {
    if (id.index < class_place.size()) id.index = static_cast<std::uint16_t>(class_place[id.index]);
  };
  for (NodeGroup& group : spec.nodes) {
    if (static_cast<std::size_t>(group.accelerator_kind) < kind_place.size())
      group.accelerator_kind = kind_place[static_cast<std::size_t>(group.accelerator_kind)];
    if (group.scale_up_class) move(*group.scale_up_class);
    if (group.nic) move(group.nic->pcie);
  }
  for (NetworkSpec& network : spec.networks)
    for (ClassId* id : {&network.edge_class, &network.spine_class, &network.global_class})
      move(*id);
  for (ExplicitLink& link : spec.links) move(link.link_class);
}

}  // namespace railwright::topology
