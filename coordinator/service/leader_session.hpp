// One connection of a leader: bytes to frames and back. What is written waits in a queue of
// bounded size; while that is full, nothing more is read.
#pragma once

#include <functional>
#include <memory>

#include "coordinator/service/leaders.hpp"
#include "coordinator/service/streams.hpp"

namespace railwright::coordinator {

struct LeaderSession {
  Leaders& leaders;
  Traffic& traffic;
  std::function<void(const Errors&)> fail;  // the store has failed
};

// `buffer` holds what was read of it already. Ends with the connection.
boost::asio::awaitable<void> talk_frames(PlainStream stream, boost::beast::flat_buffer buffer,
                                         LeaderSession session);
boost::asio::awaitable<void> talk_frames(TlsStream stream, boost::beast::flat_buffer buffer,
                                         LeaderSession session);

}  // namespace railwright::coordinator
