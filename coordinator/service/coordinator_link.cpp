#include "coordinator/service/coordinator_link.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "coordinator/service/access.hpp"
#include "coordinator/service/files.hpp"
#include "coordinator/service/streams.hpp"
#include "coordinator/service/unsignalled.hpp"
#include "coordinator/wire/backoff.hpp"
#include "coordinator/wire/tls.hpp"

namespace railwright::coordinator {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using namespace asio::experimental::awaitable_operators;

constexpr auto silence = std::chrono::seconds(5);  // each heartbeat is answered

}  // namespace

class CoordinatorLink::Talk {
 public:
  explicit Talk(LinkSettings settings)
      : settings_(std::move(settings)), draws_(std::random_device()()), wake_(context_) {
    asio::co_spawn(context_, live(), asio::detached);
    thread_ = unsignalled([this] { context_.run(); });
  }
  ~Talk() {
    context_.stop();
    thread_.join();
  }

  bool report(wire::Report report, std::int64_t timeout_ms) {
    asio::post(context_, [this, report = std::move(report)]() mutable {
      report.number = next_number_++;
      report_ = std::move(report);
      wake_.cancel();
    });
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                             [this] { return reported_; });
  }

 private:
  asio::awaitable<void> live() {
    asio::steady_timer pause(context_);
    for (int failures = 1;; ++failures) {
      welcome_.reset();
      PlainStream stream(context_);
      co_await connect(stream);
      if (welcome_) failures = 1;
      error_code ignored;
      pause.expires_after(wire::back_off(failures, draws_()));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  asio::awaitable<void> connect(PlainStream& stream) {
    // The coordinator may have come back elsewhere, or with another certificate.
    const auto address = parse_address(read_file(settings_.data + "/address").value_or(""));
    if (!address) co_return;
    error_code error;
    const tcp::endpoint endpoint(asio::ip::make_address(address->host, error),
                                 static_cast<unsigned short>(address->port));
    if (error) co_return;
    stream.expires_after(silence);
    co_await stream.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    // What we start must not keep the connection.
    fcntl(stream.socket().native_handle(), F_SETFD, FD_CLOEXEC);
    stream.socket().set_option(tcp::no_delay(true), error);
    const std::string pinned = settings_.data + "/certificate.pem";
    if (!read_file(pinned)) {
      co_await converse(stream);
      co_return;
    }
    const auto tls = wire::client_tls({pinned, {}, {}, true});
    if (!tls) co_return say(to_string(tls.error()));
    TlsStream secured(std::move(stream), **tls);
    co_await secured.async_handshake(asio::ssl::stream_base::client,
                                     asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return say("no TLS with the coordinator: " + error.message());
    co_await converse(secured);
  }

  template <class Stream>
  asio::awaitable<void> converse(Stream& stream) {
    outgoing_ = wire::encode(settings_.hello);
    asked_.reset();
    report_sent_ = cut_ = false;
    co_await (hear(stream) && speak(stream));  // whichever ends first cuts the connection
  }

  template <class Stream>
  void cut(Stream& stream) {
    cut_ = true;
    error_code ignored;
    beast::get_lowest_layer(stream).socket().close(ignored);
    wake_.cancel();
  }

  template <class Stream>
  asio::awaitable<void> hear(Stream& stream) {
    beast::flat_buffer buffer;
    for (error_code error; !error && !cut_;) {
      const std::string_view bytes(static_cast<const char*>(buffer.data().data()), buffer.size());
      const wire::Decoded decoded = wire::decode(bytes);
      if (decoded.fault) say("the coordinator sends no frames we know");
      if (decoded.fault || (decoded.message && !take(*decoded.message))) break;
      buffer.consume(decoded.used);
      if (decoded.message) continue;
      beast::get_lowest_layer(stream).expires_after(silence);
      buffer.commit(co_await stream.async_read_some(
          buffer.prepare(512), asio::redirect_error(asio::use_awaitable, error)));
    }
    cut(stream);
  }

  bool take(const wire::Message& message) {
    if (const auto* refused = std::get_if<wire::Refused>(&message)) {
      say("the coordinator refuses us: " + refused->reason);
      return false;
    }
    if (const auto* welcome = std::get_if<wire::Welcome>(&message)) {
      welcome_ = *welcome;
      wake_.cancel();
    } else if (const auto* answer = std::get_if<wire::Answer>(&message)) {
      take(*answer);
    } else if (const auto* command = std::get_if<wire::Command>(&message)) {
      if (std::exchange(last_command_, command->number) != command->number)
        settings_.commanded(command->verb);
      outgoing_ += wire::encode(wire::Done{command->number});
      wake_.cancel();
    }
    return true;
  }

  void take(const wire::Answer& answer) {
    if (report_ && answer.number == report_->number) {
      const std::lock_guard lock(mutex_);
      reported_ = true;
      changed_.notify_all();
    } else if (asked_ && answer.number == asked_->number) {
      settings_.answered(asked_->asked_at, answer.verdict);
    }
  }

  // The only one that writes. The next heartbeat waits until what came before it is written, so a
  // coordinator that reads slowly is asked less often.
  template <class Stream>
  asio::awaitable<void> speak(Stream& stream) {
    auto next = std::chrono::steady_clock::now();
    for (error_code error; !error && !cut_;) {
      if (welcome_ && std::chrono::steady_clock::now() >= next) {
        outgoing_ += wire::encode(next_word());
        next = std::chrono::steady_clock::now() + std::chrono::milliseconds(welcome_->heartbeat_ms);
      } else if (report_ && welcome_ && !std::exchange(report_sent_, true)) {
        outgoing_ += wire::encode(*report_);
      }
      if (!outgoing_.empty()) {
        const std::string batch = std::exchange(outgoing_, {});
        beast::get_lowest_layer(stream).expires_after(silence);
        co_await asio::async_write(stream, asio::buffer(batch),
                                   asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      error_code ignored;
      wake_.expires_at(welcome_ ? next : asio::steady_timer::time_point::max());
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    cut(stream);
  }

  wire::Message next_word() {
    if (report_) {
      report_sent_ = true;
      return *report_;
    }
    asked_ = wire::Heartbeat{next_number_++, settings_.asked_at(), settings_.steps_done()};
    return *asked_;
  }

  // Once for each reason in a row.
  void say(const std::string& words) {
    if (std::exchange(said_, words) != words) std::cerr << "leader: " << words << "\n";
  }

  LinkSettings settings_;
  asio::io_context context_{1};
  std::mt19937_64 draws_;
  asio::steady_timer wake_;
  std::optional<wire::Welcome> welcome_;
  std::optional<wire::Heartbeat> asked_;
  std::optional<wire::Report> report_;
  bool report_sent_ = false, cut_ = false;
  std::string outgoing_, said_;
  std::uint64_t next_number_ = 1, last_command_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reported_ = false;
  std::thread thread_;
};

CoordinatorLink::CoordinatorLink(LinkSettings settings)
    : talk_(std::make_unique<Talk>(std::move(settings))) {}
CoordinatorLink::~CoordinatorLink() = default;

bool CoordinatorLink::report(wire::Report report, std::int64_t timeout_ms) {
  return talk_->report(std::move(report), timeout_ms);
}

}  // namespace railwright::coordinator
