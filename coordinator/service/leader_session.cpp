#include "coordinator/service/leader_session.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <exception>
#include <iostream>
#include <utility>

namespace railwright::coordinator {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

constexpr auto silence = std::chrono::seconds(15);  // leaders speak every second
constexpr std::size_t full = 16 << 10;              // bytes that wait to be written
constexpr std::size_t most_at_once = 512;           // bytes read: a heartbeat has 32

template <class Stream>
class Line final : public LeaderLine, public std::enable_shared_from_this<Line<Stream>> {
 public:
  Line(Stream stream, beast::flat_buffer buffer, LeaderSession session)
      : stream_(std::move(stream)),
        room_(stream_.get_executor()),
        buffer_(std::move(buffer)),
        session_(std::move(session)) {
    error_code ignored;
    const auto peer = socket().remote_endpoint(ignored);
    from = peer.address().to_string() + ":" + std::to_string(peer.port());
  }

  // `self` keeps it alive as long as it is being talked to.
  static asio::awaitable<void> run(std::shared_ptr<Line> self) {
    try {
      co_await self->read();
    } catch (const std::exception& error) {  // whatever it was, the line must not stay known
      std::cerr << "leader at " << self->from << ": " << error.what() << "\n";
    }
    self->closing_ = true;
    while (self->writing_) co_await self->written();
    self->session_.leaders.gone(*self);
    error_code ignored;
    self->socket().shutdown(asio::socket_base::shutdown_send, ignored);
    if (!ignored) co_await self->drain();
    self->socket().close(ignored);
  }

  void send(const wire::Message& message) override {
    if (closing_) return;
    outgoing_ += wire::encode(message);
    if (std::exchange(writing_, true)) return;
    asio::co_spawn(stream_.get_executor(), write(this->shared_from_this()), asio::detached);
  }

  void close() override {
    closing_ = true;
    error_code ignored;
    socket().close(ignored);
  }

 private:
  auto& socket() { return beast::get_lowest_layer(stream_).socket(); }

  asio::awaitable<void> read() {
    bool whole = true;  // no frame is half there: the next one has all its time
    while (!closing_) {
      const std::string_view bytes(static_cast<const char*>(buffer_.data().data()), buffer_.size());
      const wire::Decoded decoded = wire::decode(bytes);
      if (decoded.fault) co_return session_.leaders.refuse(*this, wire::to_string(*decoded.fault));
      if (decoded.message) {
        buffer_.consume(decoded.used);
        if (!take(*decoded.message)) co_return;
        whole = true;
        while (outgoing_.size() > full && !closing_) co_await written();
        continue;
      }
      if (std::exchange(whole, false))
        beast::get_lowest_layer(stream_).expires_after(hello ? silence : patience);
      error_code error;
      const std::size_t count = co_await stream_.async_read_some(
          buffer_.prepare(most_at_once), asio::redirect_error(asio::use_awaitable, error));
      buffer_.commit(count);
      if (error == beast::error::timeout) co_return session_.leaders.refuse(*this, "slow");
      if (error) co_return;
    }
  }

  bool take(const wire::Message& message) {
    const auto begin = std::chrono::steady_clock::now();
    const auto heard = session_.leaders.hear(*this, message);
    if (!heard) {
      session_.fail(heard.error());
      return false;
    }
    if (std::holds_alternative<wire::Heartbeat>(message))
      session_.traffic.heartbeat(std::chrono::steady_clock::now() - begin);
    return *heard;
  }

  // Closing on bytes that nobody has read would take our last word away from who still sends.
  asio::awaitable<void> drain() {
    auto& stream = beast::get_lowest_layer(stream_);
    stream.expires_after(std::chrono::seconds(1));
    error_code error;
    for (std::size_t read = 0; !error && read < 16 * full; buffer_.clear())
      read += co_await stream.async_read_some(buffer_.prepare(most_at_once),
                                              asio::redirect_error(asio::use_awaitable, error));
  }

  asio::awaitable<void> written() {
    error_code ignored;
    room_.expires_at(asio::steady_timer::time_point::max());
    co_await room_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }

  static asio::awaitable<void> write(std::shared_ptr<Line> self) {
    error_code error;
    while (!self->outgoing_.empty() && !error) {
      const std::string batch = std::exchange(self->outgoing_, {});
      beast::get_lowest_layer(self->stream_).expires_after(patience);
      co_await asio::async_write(self->stream_, asio::buffer(batch),
                                 asio::redirect_error(asio::use_awaitable, error));
      self->room_.cancel();
    }
    self->writing_ = false;
    if (error == beast::error::timeout)
      self->session_.traffic.refuse(Protocol::frames, "slow", self->from);
    if (error) self->close();
    self->room_.cancel();
  }

  Stream stream_;
  asio::steady_timer room_;  // ends its wait whenever something has been written
  beast::flat_buffer buffer_;
  LeaderSession session_;
  std::string outgoing_;
  bool writing_ = false, closing_ = false;
};

template <class Stream>
asio::awaitable<void> talk(Stream stream, beast::flat_buffer buffer, LeaderSession session) {
  return Line<Stream>::run(
      std::make_shared<Line<Stream>>(std::move(stream), std::move(buffer), std::move(session)));
}

}  // namespace

asio::awaitable<void> talk_frames(PlainStream stream, beast::flat_buffer buffer,
                                  LeaderSession session) {
  return talk(std::move(stream), std::move(buffer), std::move(session));
}

asio::awaitable<void> talk_frames(TlsStream stream, beast::flat_buffer buffer,
                                  LeaderSession session) {
  return talk(std::move(stream), std::move(buffer), std::move(session));
}

}  // namespace railwright::coordinator
