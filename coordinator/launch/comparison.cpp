#include "coordinator/launch/comparison.hpp"

#include <fmt/format.h>

namespace railwright::coordinator {

namespace {

Json field(const Json& result, const char* name, Json fallback) {
  return result.contains(name) ? result[name] : std::move(fallback);
}

std::string milliseconds_of(const Json& value) {
  return value.is_number() ? fmt::format("{:.3f} ms", value.get<double>() * 1e3) : "";
}

}  // namespace

Comparison compare(const Json& result, const emulator::Plan& plan, unsigned cores) {
  Comparison comparison;
  comparison.steps = field(result, "steps", Json::array());
  comparison.measured = field(result, "measured", Json::object());
  comparison.predicted = field(result, "predicted", Json::object());
  comparison.ratio = field(result, "ratio", Json::object());
  comparison.slow_links = field(result, "slow_links", Json::array());
  comparison.slow_ranks = field(result, "slow_ranks", Json::array());
  if (plan.degrees.world() > cores)
    comparison.not_judged =
        fmt::format("not judged: {} ranks on {} cores", plan.degrees.world(), cores);
  return comparison;
}

Json comparison_json(const Comparison& comparison) {
  Json document = {{"steps", comparison.steps},           {"measured", comparison.measured},
                   {"predicted", comparison.predicted},   {"ratio", comparison.ratio},
                   {"slow_links", comparison.slow_links}, {"slow_ranks", comparison.slow_ranks}};
  document["judged"] = comparison.not_judged.empty();
  if (!comparison.not_judged.empty()) document["not_judged"] = comparison.not_judged;
  return document;
}

std::string comparison_text(const Comparison& comparison) {
  std::vector<std::vector<std::string>> rows = {{"what", "measured", "predicted", "ratio"}};
  for (const auto& [what, measured] : comparison.measured.items()) {
    if (!measured.is_number()) continue;
    const Json predicted = field(comparison.predicted, what.c_str(), nullptr);
    const Json ratio = field(comparison.ratio, what.c_str(), nullptr);
    rows.push_back({what, milliseconds_of(measured), milliseconds_of(predicted),
                    ratio.is_number() ? fmt::format("{:.2f}", ratio.get<double>()) : ""});
  }
  std::string text = table(rows);
  if (!comparison.not_judged.empty()) text += comparison.not_judged + "\n";
  return text;
}

}  // namespace railwright::coordinator
