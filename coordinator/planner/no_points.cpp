#include "coordinator/planner/no_points.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace railwright::coordinator {

namespace {

using workload::Degrees;
using workload::Training;

// Rules that the fixed degrees break by themselves, whatever the others are.
std::vector<std::string> own_violations(const Training& training, const FixedDegrees& fixed) {
  Degrees alone = fixed.values;
  const bool divides = training.global_batch % (std::int64_t{alone.dp} * alone.micro_batch) == 0;
  return workload::violations(divides ? workload::shortest(training, alone) : training, alone);
}

std::string product_text(const Degrees& given) {
  return given.cp > 1 ? fmt::format("tp x pp x cp x dp = {} x {} x {} x {}", given.tp, given.pp,
                                    given.cp, given.dp)
                      : fmt::format("tp x pp x dp = {} x {} x {}", given.tp, given.pp, given.dp);
}

double product_of(const Degrees& given) { return 1.0 * given.tp * given.pp * given.cp * given.dp; }

// What is fixed, but for one of the degrees.
FixedDegrees with_value(const FixedDegrees& fixed, const std::string& changed, std::int64_t value) {
  std::string kept = fmt::format("{}={}", changed, value);
  std::string all = workload::to_string(fixed.values) + ",";
  while (!all.empty()) {
    const std::string entry = all.substr(0, all.find(','));
    const std::string name = entry.substr(0, entry.find('='));
    if (name != changed && fixed.has(name)) kept += "," + entry;
    all.erase(0, entry.size() + 1);
  }
  // The text of degrees is silent about it.
  if (changed != "etp" && fixed.has("etp") && fixed.values.etp == 1) kept += ",etp=1";
  return parse_fixed(kept).value_or(FixedDegrees{});
}

// The nearest of these numbers, ascending, below and above one that does not work.
std::vector<std::int64_t> nearest(const std::vector<std::int64_t>& numbers, std::int64_t wrong,
                                  const std::function<bool(std::int64_t)>& works) {
  std::vector<std::int64_t> found;
  const auto above = std::upper_bound(numbers.begin(), numbers.end(), wrong);
  for (auto at = std::lower_bound(numbers.begin(), numbers.end(), wrong); at != numbers.begin();)
    if (works(*--at)) {
      found.push_back(*at);
      break;
    }
  const auto first = std::find_if(above, numbers.end(), works);
  if (first != numbers.end()) found.push_back(*first);
  return found;
}

// All that are not too far from it.
std::vector<std::int64_t> around(std::int64_t number) {
  constexpr std::int64_t farthest = 256;
  std::vector<std::int64_t> all;
  for (std::int64_t i = std::max<std::int64_t>(1, number - farthest); i <= number + farthest; ++i)
    all.push_back(i);
  return all;
}

// What a fixed degree of this name must divide.
std::int64_t divided_by(const std::string& name, const Training& training,
                        std::int64_t accelerators) {
  if (name == "micro_batch") return training.global_batch;
  if (name == "ep") return training.model.experts.count;
  if (name == "etp") return training.model.experts.ffn_hidden;
  const bool ranks = name == "tp" || name == "pp" || name == "cp" || name == "dp";
  return ranks || name == "shard" ? accelerators : 0;
}

int value_of(const Degrees& degrees, const std::string& name) {
  if (name == "micro_batch") return degrees.micro_batch;
  if (name == "shard") return degrees.shard;
  if (name == "etp") return degrees.etp;
  if (name == "ep") return degrees.ep;
  if (name == "tp") return degrees.tp;
  if (name == "pp") return degrees.pp;
  return name == "cp" ? degrees.cp : degrees.dp;
}

// "tp=4 or tp=8"; "" where there is none.
std::string either(const std::string& name, const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> words;
  for (const std::int64_t number : numbers) words.push_back(fmt::format("{}{}", name, number));
  return fmt::format("{}", fmt::join(words, " or "));
}

std::string nearest_changes(const Training& training, std::int64_t accelerators, std::int64_t most,
                            const FixedDegrees& fixed) {
  std::vector<std::string> ways;
  const auto add = [&](const std::string& way) {
    if (!way.empty()) ways.push_back(way);
  };
  for (const std::string& name : fixed.names)
    if (const std::int64_t whole = divided_by(name, training, accelerators); whole > 0)
      add(either(name + "=", nearest(divisors(whole), value_of(fixed.values, name), [&](auto n) {
                   return !points_of(training, accelerators, with_value(fixed, name, n)).empty();
                 })));
  add(either("--accelerators ", nearest(around(accelerators), accelerators, [&](auto n) {
               return n <= most && !points_of(training, n, fixed).empty();
             })));
  add(either("--global-batch ",
             nearest(around(training.global_batch), training.global_batch, [&](auto n) {
               Training changed = training;
               changed.global_batch = n;
               return !points_of(changed, accelerators, fixed).empty();
             })));
  if (ways.empty()) return "choose degrees that divide";
  return fmt::format("nearest that work: {}", fmt::join(ways, "; "));
}

}  // namespace

ConfigError why_no_points(const Training& training, std::int64_t accelerators, std::int64_t most,
                          const FixedDegrees& fixed) {
  const Degrees& given = fixed.values;
  const workload::Model& model = training.model;
  std::vector<std::string> broken = own_violations(training, fixed);
  if (given.zero_stage > 3)
    return {{}, "--fix: " + broken.front(), "write zero_stage=0, 1, 2 or 3"};
  if (model.learned_positions && training.sequence > model.positions)
    return {{},
            fmt::format("{}", fmt::join(broken, "; ")),
            fmt::format("write --sequence {} or less", model.positions)};
  const double product = product_of(given);
  const bool whole = fixed.has("tp") && fixed.has("pp") && fixed.has("dp");
  if (std::fmod(static_cast<double>(accelerators), product) != 0)
    broken.insert(broken.begin(), fmt::format("{} = {:.0f} does not divide {} accelerators",
                                              product_text(given), product, accelerators));
  else if (whole && product != static_cast<double>(accelerators))
    broken.insert(broken.begin(), fmt::format("{} = {:.0f} is not {} accelerators",
                                              product_text(given), product, accelerators));
  if (broken.empty())
    broken.push_back(
        fmt::format("no tensor and pipeline degrees divide both {} ({} layers, {} heads, {} KV "
                    "heads) and {} accelerators with global batch {}",
                    model.name, model.layers, model.heads, model.kv_heads, accelerators,
                    training.global_batch));
  return {{},
          fmt::format("{}{}", fixed.names.empty() ? "" : "--fix: ", fmt::join(broken, "; ")),
          nearest_changes(training, accelerators, most, fixed)};
}

}  // namespace railwright::coordinator
