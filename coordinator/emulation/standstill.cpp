#include <fmt/format.h>

#include "coordinator/emulation/report.hpp"

namespace railwright::coordinator {

using emulator::HungGroup;
using emulator::Standstill;

namespace {

constexpr std::size_t groups_in_text = 8;

double since_start(Instant at, Instant began) {
  return in_seconds(at - Instant{0}).value + in_seconds(began - Instant{0}).value;
}

std::string members_text(const HungGroup& hung) {
  std::string text;
  for (std::size_t i = 0; i < hung.ranks.size(); ++i)
    text += fmt::format("{}{} ({})", i > 0 ? ", " : "", hung.ranks[i], hung.accelerators[i]);
  const auto more = hung.members - static_cast<std::int64_t>(hung.ranks.size());
  if (more > 0) text += fmt::format(" and {} more", more);
  return text;
}

std::string hung_text(const HungGroup& hung) {
  std::string text = "  " + (hung.group.empty() ? "" : hung.group + " ") + hung.op;
  if (hung.micro_batch >= 0) text += fmt::format(" of micro-batch {}", hung.micro_batch);
  text += fmt::format(", rank{} {}: {}", hung.members > 1 ? "s" : "", members_text(hung), hung.why);
  if (hung.groups > 1) text += fmt::format("; {} more like it", hung.groups - 1);
  return text + "\n";
}

Json hung_json(const HungGroup& hung) {
  Json json = {{"group", hung.group}, {"op", hung.op}};
  if (hung.micro_batch >= 0) json["micro_batch"] = hung.micro_batch;
  json["ranks"] = hung.ranks;
  json["accelerators"] = hung.accelerators;
  json["members"] = hung.members;
  json["groups"] = hung.groups;
  json["why"] = hung.why;
  return json;
}

}  // namespace

Json standstill_json(const Standstill& standstill, std::int64_t number, Instant began) {
  Json lost = Json::array(), hung = Json::array();
  for (const emulator::Loss& loss : standstill.lost)
    lost.push_back({{"target", loss.target}, {"since_s", since_start(loss.from, began)}});
  for (const HungGroup& group : standstill.hung) hung.push_back(hung_json(group));
  return {{"standstill",
           {{"step", number},
            {"at_s", since_start(standstill.at, began)},
            {"lost", std::move(lost)},
            {"hung", std::move(hung)},
            {"hung_groups", standstill.hung_groups}}}};
}

std::string standstill_text(const Standstill& standstill, std::int64_t number, Instant began) {
  std::string text = fmt::format("error: step {} stands still at {}\nlost:\n", number,
                                 to_string(seconds(since_start(standstill.at, began))));
  for (const emulator::Loss& loss : standstill.lost)
    text += fmt::format("  {} since {}\n", loss.target,
                        to_string(seconds(since_start(loss.from, began))));
  text += "what hangs:\n";
  std::int64_t named = 0;
  for (std::size_t i = 0; i < std::min(groups_in_text, standstill.hung.size()); ++i) {
    text += hung_text(standstill.hung[i]);
    named += standstill.hung[i].groups;
  }
  if (standstill.hung_groups > named)
    text += fmt::format("  and {} groups more\n", standstill.hung_groups - named);
  return text;
}

}  // namespace railwright::coordinator
