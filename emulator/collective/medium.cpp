#include "emulator/collective/medium.hpp"

#include <cassert>
#include <limits>

namespace railwright::emulator {

Medium::Medium(const CollectiveRun& run, const topology::Router& router,
               const topology::Calibration& calibration)
    : network_(router.cluster().graph, calibration), changes_(capacity_changes(run.faults.links)) {
  for (const BackgroundFlow& flow : run.background) {
    Transfer endless{router.between(flow.source, flow.target).links,
                     std::numeric_limits<double>::infinity()};
    if (!endless.consumption.empty()) start(std::move(endless), {0});
  }
  while (next_change_ < changes_.size() && changes_[next_change_].at <= Instant{0}) {
    const CapacityChange& change = changes_[next_change_++];
    network_.scale_capacity(change.link, change.factor, {0});
  }
}

TransferId Medium::start(Transfer transfer, Instant now) {
  started_.push_back(now);
  return network_.start(std::move(transfer), now);
}

std::optional<Instant> Medium::next() const {
  std::optional<Instant> next = network_.next_end();
  if (next_change_ < changes_.size() && (!next || changes_[next_change_].at < *next))
    next = changes_[next_change_].at;
  return next;
}

std::vector<TransferId> Medium::advance_to(Instant now) {
  std::vector<TransferId> ended = network_.advance_to(now);
  for (const TransferId id : ended) tally(id);
  events_ += static_cast<std::int64_t>(ended.size());
  while (next_change_ < changes_.size() && changes_[next_change_].at == now) {
    const CapacityChange& change = changes_[next_change_++];
    network_.scale_capacity(change.link, change.factor, now);
    ++events_;
  }
  return ended;
}

void Medium::finish(Instant now) {
  pass_until(now);
  network_.advance_to(now);
}

void Medium::pass_until(Instant now) {
  for (auto at = next(); at && *at <= now; at = next()) advance_to(*at);
}

void Medium::tally(TransferId id) {
  Instant from = started_[id.index];
  for (const Piece& piece : network_.pieces(id)) {
    if (piece.link.index >= 0) limited_[piece.link] += (piece.end - from).count;
    from = piece.end;
  }
  network_.forget(id);
}

topology::LinkId Medium::limiting_link() const {
  topology::LinkId longest;
  std::int64_t most = 0;
  for (const auto& [link, time] : limited_)
    if (time > most) {
      most = time;
      longest = link;
    }
  return longest;
}

}  // namespace railwright::emulator
