// The queue of messages from one member of a node to another, in the receiver's segment.
#pragma once

#include <cstddef>

#include "worker/shm/line.hpp"

namespace railwright::worker {

enum class Carriage : std::uint64_t { in_line, in_memory, outside };

// The words of a message's line. `in_line` uses the payload, `in_memory` the places.
struct Message {
  std::uint64_t tag = 0;
  Carriage carriage = Carriage::in_line;
  std::uint64_t size = 0;
  std::uint64_t place = 0;  // of the bytes, in the sender's segment
  std::uint64_t taken = 0;  // place of a line of the sender, set to 1 once they are copied
  static constexpr std::size_t most_in_line = 16;
  std::byte payload[most_in_line] = {};
};
static_assert(sizeof(Message) == sizeof(Line::words));

// Messages are numbered from 1. The receiver says how many it has taken out.
struct Mailbox {
  static constexpr std::uint64_t length = 64;
  Line taken_out;
  Line lines[length];
  Line& line(std::uint64_t number) { return lines[number % length]; }
};

}  // namespace railwright::worker
