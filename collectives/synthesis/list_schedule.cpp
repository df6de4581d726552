#include "collectives/synthesis/list_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <queue>
#include <set>

namespace railwright::collectives {

namespace {

// A job starts below its full rate when that much of it is free: a slow rank beside fast ones would
// else leave the rest of its partner's link unused.
constexpr double half = 0.5 * (1 - 1e-9);
constexpr int most_looks = 8;  // jobs per first link that are tried at a time

class ListScheduler {
 public:
  ListScheduler(const Fabric& fabric, SendTiming timing, std::vector<Job>& jobs)
      : fabric_(fabric),
        timing_(timing),
        jobs_(jobs),
        ready_(fabric.links.size()),
        rate_(jobs.size(), 0) {
    for (const Fabric::Link& link : fabric.links) free_.push_back(link.rate);
  }
  std::int64_t run();

 private:
  using Entry = std::pair<std::int64_t, int>;  // priority, job
  struct Event {
    std::int64_t at;
    int job;
    bool arrives;
    auto operator<=>(const Event&) const = default;
  };

  void make_ready(int job);
  double rate_of(const Job& job) const;
  double free_on(const Job& job) const;
  void start_what_fits();
  void start(int job, double rate);
  void pass(const Event& event);

  const Fabric& fabric_;
  SendTiming timing_;
  std::vector<Job>& jobs_;
  std::vector<std::set<Entry>> ready_;  // by first link
  std::set<int> waiting_links_;         // that something is ready for
  std::vector<double> free_, rate_;     // of each link, what is not taken; of each job
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t now_ = 0, last_ = 0;
};

double ListScheduler::rate_of(const Job& job) const {
  double rate = INFINITY;
  for (const int l : job.way) rate = std::min(rate, fabric_.links[l].rate);
  return rate;
}

double ListScheduler::free_on(const Job& job) const {
  double rate = INFINITY;
  for (const int l : job.way) rate = std::min(rate, free_[l]);
  return rate;
}

void ListScheduler::make_ready(int job) {
  const int link = jobs_[job].way.front();
  ready_[link].insert({jobs_[job].priority, job});
  waiting_links_.insert(link);
}

void ListScheduler::start(int job, double rate) {
  Job& one = jobs_[job];
  rate_[job] = rate;
  double latency = timing_.software_latency;
  for (const int l : one.way) {
    free_[l] -= rate;
    latency += fabric_.links[l].latency;
  }
  const auto after = [&](double s) { return now_ + std::llround(std::ceil(s * 1e12)); };
  one.start = now_;
  one.arrival = after(one.bytes / rate + latency);
  one.left = timing_.latency_occupies ? one.arrival : after(one.bytes / rate);
  events_.push({one.left, job, false});
  events_.push({one.arrival, job, true});
}

void ListScheduler::start_what_fits() {
  for (auto link = waiting_links_.begin(); link != waiting_links_.end();) {
    std::set<Entry>& ready = ready_[*link];
    int looks = 0;
    for (auto entry = ready.begin(); entry != ready.end() && looks < most_looks;) {
      const Job& job = jobs_[entry->second];
      const double rate = free_on(job);
      if (rate < half * rate_of(job)) {
        ++entry;
        ++looks;
        continue;
      }
      start(entry->second, std::min(rate, rate_of(job)));
      entry = ready.erase(entry);
    }
    link = ready.empty() ? waiting_links_.erase(link) : std::next(link);
  }
}

void ListScheduler::pass(const Event& event) {
  const Job& job = jobs_[event.job];
  if (!event.arrives) {
    for (const int l : job.way) free_[l] += rate_[event.job];
    return;
  }
  last_ = std::max(last_, event.at);
  for (const int next : job.successors)
    if (--jobs_[next].waits == 0) make_ready(next);
}

std::int64_t ListScheduler::run() {
  for (std::size_t j = 0; j < jobs_.size(); ++j)
    if (jobs_[j].waits == 0) make_ready(static_cast<int>(j));
  start_what_fits();
  while (!events_.empty()) {
    now_ = events_.top().at;
    while (!events_.empty() && events_.top().at == now_) {
      pass(events_.top());
      events_.pop();
    }
    start_what_fits();
  }
  return last_;
}

}  // namespace

std::int64_t schedule_jobs(const Fabric& fabric, SendTiming timing, std::vector<Job>& jobs) {
  return ListScheduler(fabric, timing, jobs).run();
}

}  // namespace railwright::collectives
