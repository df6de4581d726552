// What leaders and the coordinator say to each other, as bytes. No sockets: what comes in may be
// cut anywhere, or be anything.
//
//   F7 52 57 | version | type | 0 | size of the payload, 2 bytes | payload
//
// All numbers are big-endian; a text is its length in 2 bytes and its bytes. The first byte is
// none that HTTP (a letter) or TLS (16) begins with.
//
// Whatever asks for something has a number, which its sender chooses and never uses for anything
// else: it is said again until it is answered, and done once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "coordinator/control/control.hpp"

namespace railwright::coordinator::wire {

inline constexpr std::uint8_t frame_version = 1;
inline constexpr std::uint8_t first_byte = 0xF7;
inline constexpr std::size_t header_size = 8;
inline constexpr std::size_t largest_payload = 16 << 10;

// ---- Of leaders
struct Hello {  // the first word on each connection
  std::string job;
  std::int32_t epoch = 0;
  std::string leader;
  std::string token;  // of this epoch of the job
  bool operator==(const Hello&) const = default;
};
struct Heartbeat {  // asks for the lease
  std::uint64_t number = 0;
  std::int64_t asked_at = 0;  // by the leader's clock
  std::int64_t steps_done = 0;
  bool operator==(const Heartbeat&) const = default;
};
struct Report {  // the run has ended
  std::uint64_t number = 0;
  control::Outcome outcome = control::Outcome::completed;
  control::Failure failure = control::Failure::none;
  std::int64_t steps_done = 0;
  std::string reason;
  bool operator==(const Report&) const = default;
};
struct Done {  // a command was heard and is carried out
  std::uint64_t number = 0;
  bool operator==(const Done&) const = default;
};

// ---- Of the coordinator
struct Welcome {
  std::int32_t heartbeat_ms = 1'000;  // how often it wants to hear
  bool operator==(const Welcome&) const = default;
};
enum class Verdict : std::uint8_t { none, granted, stop, dismissed };
struct Answer {  // to a Heartbeat or a Report
  std::uint64_t number = 0;
  Verdict verdict = Verdict::none;
  bool operator==(const Answer&) const = default;
};
enum class Verb : std::uint8_t { stop };
struct Command {
  std::uint64_t number = 0;
  Verb verb = Verb::stop;
  bool operator==(const Command&) const = default;
};
struct Refused {  // the last word before it hangs up
  std::string reason;
  bool operator==(const Refused&) const = default;
};

using Message = std::variant<Hello, Heartbeat, Report, Done, Welcome, Answer, Command, Refused>;

// Texts are cut where they would be longer than a frame takes.
std::string encode(const Message& message);

enum class Fault : std::uint8_t { magic, version, type, size, payload };
std::string_view to_string(Fault fault);

// A frame, or what is wrong with it, or neither: more bytes are needed.
struct Decoded {
  std::optional<Message> message;
  std::optional<Fault> fault;
  std::size_t used = 0;  // bytes of the frame
};
// Looks at the first frame of `bytes`. A fault is found as soon as the byte that is wrong is there.
Decoded decode(std::string_view bytes);

}  // namespace railwright::coordinator::wire
