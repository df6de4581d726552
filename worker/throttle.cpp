#include "worker/throttle.hpp"

#include <fmt/format.h>

#include <charconv>

#include "topology/quantity.hpp"

namespace railwright::worker {
namespace {

using Clock = Transport::Deadline::clock;

class ThrottledTransport : public Transport {
 public:
  ThrottledTransport(Transport& inner, const std::vector<Throttle>& throttles) : inner_(inner) {
    for (const Throttle& throttle : throttles) {
      if (throttle.a == inner.rank()) links_[throttle.b].rate = throttle.rate;
      if (throttle.b == inner.rank()) links_[throttle.a].rate = throttle.rate;
    }
  }
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  int spin_budget() const override { return inner_.spin_budget(); }
  Buffer register_buffer(std::span<std::byte> bytes, MemoryKind memory) override {
    return inner_.register_buffer(bytes, memory);
  }
  void unregister_buffer(const Buffer& buffer) override { inner_.unregister_buffer(buffer); }
  Request post_receive(int peer, int tag, std::span<std::byte> bytes) override {
    return add({inner_.post_receive(peer, tag, bytes), peer, tag, {}, {}, true});
  }
  Request post_send(int peer, int tag, std::span<const std::byte> bytes) override {
    const auto link = links_.find(peer);
    if (link == links_.end())
      return add({inner_.post_send(peer, tag, bytes), peer, tag, {}, {}, true});
    const Seconds time = Bytes{bytes.size()} / link->second.rate;
    const auto free = std::max(Clock::now(), link->second.free);
    link->second.free =
        free + std::chrono::nanoseconds(static_cast<std::int64_t>(time.value * 1e9));
    return add({{}, peer, tag, bytes, link->second.free, false});
  }
  WaitResult test(Request request) override {
    progress_held();
    const auto job = jobs_.find(request.id);
    if (!job->second.left) return {WaitState::pending, job->second.peer};
    const WaitResult result = inner_.test(job->second.request);
    if (result.state != WaitState::pending) jobs_.erase(job);
    return result;
  }
  void cancel(Request request) override {
    const auto job = jobs_.extract(request.id);
    if (job.mapped().left) inner_.cancel(job.mapped().request);
  }
  void progress() override {
    progress_held();
    inner_.progress();
  }

 private:
  struct Link {
    Bandwidth rate;
    Clock::time_point free{};  // when what was posted so far has left
  };
  struct Job {
    Request request;
    int peer = -1, tag = 0;
    std::span<const std::byte> bytes;  // of a send that is held back
    Clock::time_point leaves{};
    bool left = true;
  };

  Request add(const Job& job) {
    jobs_[next_] = job;
    held_ += !job.left;
    return {next_++};
  }
  // In the order of posting, which is that of leaving.
  void progress_held() {
    if (held_ == 0) return;
    const Clock::time_point now = Clock::now();
    for (auto& [id, job] : jobs_) {
      if (job.left || now < job.leaves) continue;
      job.request = inner_.post_send(job.peer, job.tag, job.bytes);
      job.left = true;
      --held_;
    }
  }

  Transport& inner_;
  std::map<int, Link> links_;
  std::map<std::uint64_t, Job> jobs_;
  std::uint64_t next_ = 1;
  int held_ = 0;
};

bool parse_rank(std::string_view text, int& rank) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), rank);
  return error == std::errc{} && end == text.data() + text.size() && rank >= 0;
}

}  // namespace

tl::expected<Throttle, ConfigError> parse_throttle(const std::string& text) {
  const std::size_t colon = text.find(':'), equals = text.find('=');
  Throttle throttle;
  const bool read =
      colon != std::string::npos && equals != std::string::npos && colon < equals &&
      parse_rank(std::string_view(text).substr(0, colon), throttle.a) &&
      parse_rank(std::string_view(text).substr(colon + 1, equals - colon - 1), throttle.b) &&
      throttle.a != throttle.b;
  if (!read)
    return tl::unexpected(ConfigError{{},
                                      fmt::format("'{}' names no two ranks and a rate", text),
                                      "write, for example, 0:2=50MB/s"});
  const auto rate = parse_bandwidth(text.substr(equals + 1));
  if (!rate) return tl::unexpected(rate.error());
  throttle.rate = *rate;
  return throttle;
}

Errors why_not_throttle(const std::vector<Throttle>& throttles, int ranks) {
  Errors errors;
  for (const Throttle& throttle : throttles)
    for (const int rank : {throttle.a, throttle.b})
      if (rank >= ranks)
        errors.push_back({{},
                          fmt::format("--throttle: there is no rank {}", rank),
                          fmt::format("ranks are 0 to {}", ranks - 1)});
  return errors;
}

std::unique_ptr<Transport> make_throttled_transport(Transport& inner,
                                                    const std::vector<Throttle>& throttles) {
  return std::make_unique<ThrottledTransport>(inner, throttles);
}

}  // namespace railwright::worker
