#include "coordinator/service/replan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

namespace railwright::coordinator {

namespace {

using Fixed = std::map<std::string, std::string>;

Fixed parse(const std::string& fix) {
  Fixed fixed;
  std::istringstream words(fix);
  for (std::string word; std::getline(words, word, ',');) {
    const auto equals = word.find('=');
    const bool whole = equals != std::string::npos;
    fixed[word.substr(0, equals)] = whole ? word.substr(equals + 1) : std::string();
  }
  return fixed;
}

std::string text_of(const Fixed& fixed) {
  std::string text;
  for (const auto& [key, value] : fixed)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text;
}

// What real training has code for; words of the user come first.
Fixed fixed_of(const JobRequest& request) {
  Fixed fixed = parse(request.fix);
  if (request.workload != "train") return fixed;
  fixed.merge(Fixed{{"cp", "1"}, {"vpp", "1"}, {"ep", "1"}, {"schedule", "1f1b"}});
  if (!fixed.contains("zero_stage")) fixed["zero_stage"] = "1";
  return fixed;
}

// The most replicas that the batch leaves none of idle, or that divide it.
std::int64_t replicas_for(const JobRequest& request, std::int64_t micro_batches,
                          std::int64_t most) {
  most = std::min(most, micro_batches);
  if (request.workload == "train") return most;
  while (most > 1 && micro_batches % most != 0) --most;
  return most;
}

std::optional<Portion> fewer_replicas(const JobRequest& request, const workload::Degrees& before,
                                      std::int64_t room) {
  const std::int64_t replica = before.world() / before.dp;
  const std::int64_t micro_batches = request.global_batch / before.micro_batch;
  const std::int64_t dp = replicas_for(request, micro_batches, room / replica);
  if (dp < 1) return std::nullopt;
  Fixed fixed = fixed_of(request);
  const auto fix = [&](const char* key, std::int64_t value) { fixed[key] = std::to_string(value); };
  fix("tp", before.tp);
  fix("pp", before.pp);
  fix("cp", before.cp);
  fix("dp", dp);
  fix("micro_batch", before.micro_batch);
  const std::int64_t each = (micro_batches + dp - 1) / dp;
  const bool uneven = micro_batches % dp != 0;
  return Portion{
      dp * replica, each * dp * before.micro_batch, text_of(fixed),
      fmt::format("{} data-parallel replicas, with {}{} micro-batches of the batch of {}", dp,
                  uneven ? "up to " : "", each, request.global_batch)};
}

}  // namespace

std::vector<Portion> portions_of(const JobRequest& request,
                                 const std::optional<workload::Degrees>& before,
                                 std::int64_t room) {
  const Portion wanted{
      std::min(request.accelerators, room), request.global_batch, text_of(fixed_of(request)), {}};
  if (room >= request.accelerators) return {wanted};
  std::vector<Portion> portions;
  if (before)
    if (const auto fewer = fewer_replicas(request, *before, room)) portions.push_back(*fewer);
  Fixed free = fixed_of(request);
  free.erase("dp");
  portions.push_back({wanted.accelerators, request.global_batch, text_of(free),
                      fmt::format("other degrees, for {} accelerators", wanted.accelerators)});
  return portions;
}

}  // namespace railwright::coordinator
