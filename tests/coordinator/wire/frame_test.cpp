#include "coordinator/wire/frame.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace railwright::coordinator::wire;
using railwright::coordinator::control::Failure;
using railwright::coordinator::control::Outcome;

namespace {

const std::vector<Message> samples = {
    Hello{"first", 3, "0123abcd", "secret"},
    Hello{},
    Heartbeat{1, -5, 1'000'000'000'000},
    Report{2, Outcome::lost, Failure::run, 7, "a worker was lost"},
    Report{~std::uint64_t{0}, Outcome::stopped, Failure::lost, -1, std::string(3, '\0')},
    Done{9},
    Welcome{500},
    Answer{4, Verdict::dismissed},
    Command{5, Verb::stop},
    Refused{"no"},
};

std::string with_byte(std::string bytes, std::size_t index, int value) {
  bytes[index] = static_cast<char>(value);
  return bytes;
}

}  // namespace

TEST_CASE("what is encoded is decoded, alone and one after the other") {
  std::string all;
  for (const Message& message : samples) {
    const std::string bytes = encode(message);
    const Decoded decoded = decode(bytes);
    REQUIRE(decoded.message);
    CHECK(*decoded.message == message);
    CHECK(decoded.used == bytes.size());
    all += bytes;
  }
  std::string_view rest = all;
  for (const Message& message : samples) {
    const Decoded decoded = decode(rest);
    REQUIRE(decoded.message);
    CHECK(*decoded.message == message);
    rest.remove_prefix(decoded.used);
  }
  CHECK(rest.empty());
}

TEST_CASE("a frame that is cut anywhere needs more, and is no fault") {
  for (const Message& message : samples) {
    const std::string bytes = encode(message);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      const Decoded decoded = decode(std::string_view(bytes).substr(0, length));
      CHECK_FALSE(decoded.message);
      CHECK_FALSE(decoded.fault);
    }
  }
}

TEST_CASE("a wrong header is a fault as soon as its byte is there") {
  const std::string bytes = encode(Heartbeat{1, 2, 3});
  const auto fault_with = [&](std::size_t index, int value) {
    const std::string changed = with_byte(bytes, index, value);
    CHECK_FALSE(decode(changed).message);
    const auto early = decode(std::string_view(changed).substr(0, index + 1)).fault;
    CHECK(early == decode(changed).fault);
    return early;
  };
  CHECK(fault_with(0, 'G') == Fault::magic);
  CHECK(fault_with(2, 'x') == Fault::magic);
  CHECK(fault_with(3, frame_version + 1) == Fault::version);
  CHECK(fault_with(4, 200) == Fault::type);
  CHECK(fault_with(4, std::variant_size_v<Message>) == Fault::type);
  CHECK(fault_with(5, 1) == Fault::payload);
  CHECK(fault_with(6, 0x41) == Fault::size);
  CHECK(decode(with_byte(with_byte(bytes, 6, 0x40), 7, 1)).fault == Fault::size);
  CHECK_FALSE(decode(with_byte(with_byte(bytes, 6, 0x40), 7, 0)).fault);  // the largest
}

TEST_CASE("a payload that is no message of its type is a fault") {
  const std::string answer = encode(Answer{1, Verdict::stop});
  CHECK(decode(with_byte(answer, answer.size() - 1, 4)).fault == Fault::payload);
  CHECK(decode(with_byte(answer, 7, 8) + "more").fault == Fault::payload);   // too short
  CHECK(decode(with_byte(answer, 7, 10) + "more").fault == Fault::payload);  // too long
  // A text that says it is longer than its frame.
  CHECK(decode(with_byte(encode(Refused{"abc"}), 9, 200)).fault == Fault::payload);
}

TEST_CASE("texts are cut so that every message fits its frame") {
  const std::string bytes = encode(Report{1, {}, {}, 0, std::string(1 << 20, 'x')});
  CHECK(bytes.size() <= header_size + largest_payload);
  const Decoded decoded = decode(bytes);
  REQUIRE(decoded.message);
  CHECK(std::get<Report>(*decoded.message).reason.size() == 4096);
  CHECK(decode(encode(Hello{std::string(1 << 20, 'x'), 1, std::string(1 << 20, 'y'),
                            std::string(1 << 20, 'z')}))
            .message);
}
