#include "coordinator/wire/frame.hpp"

#include <algorithm>
#include <cassert>
#include <type_traits>
#include <utility>

namespace railwright::coordinator::wire {

namespace {

constexpr std::string_view magic = "\xF7RW";
constexpr std::size_t longest_text = 4 << 10;

// The fields of each message in the order of the bytes; the same for both directions.
template <class Archive, class M>
void fields(Archive& archive, M& message) {
  using Plain = std::remove_const_t<M>;
  if constexpr (std::is_same_v<Plain, Hello>)
    archive(message.job, message.epoch, message.leader, message.token);
  else if constexpr (std::is_same_v<Plain, Heartbeat>)
    archive(message.number, message.asked_at, message.steps_done);
  else if constexpr (std::is_same_v<Plain, Report>)
    archive(message.number, message.outcome, message.failure, message.steps_done, message.reason);
  else if constexpr (std::is_same_v<Plain, Done>)
    archive(message.number);
  else if constexpr (std::is_same_v<Plain, Welcome>)
    archive(message.heartbeat_ms);
  else if constexpr (std::is_same_v<Plain, Answer>)
    archive(message.number, message.verdict);
  else if constexpr (std::is_same_v<Plain, Command>)
    archive(message.number, message.verb);
  else
    archive(message.reason);
}

using control::Failure;
using control::Outcome;

constexpr std::uint8_t last_of(Outcome) { return static_cast<std::uint8_t>(Outcome::stopped); }
constexpr std::uint8_t last_of(Failure) { return static_cast<std::uint8_t>(Failure::lost); }
constexpr std::uint8_t last_of(Verdict) { return static_cast<std::uint8_t>(Verdict::dismissed); }
constexpr std::uint8_t last_of(Verb) { return static_cast<std::uint8_t>(Verb::stop); }

class Writer {
 public:
  template <class... Fields>
  void operator()(const Fields&... values) {
    (put(values), ...);
  }
  std::string bytes;

 private:
  template <class T>
  void put(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      bytes += static_cast<char>(value);
    } else {
      auto rest = static_cast<std::make_unsigned_t<T>>(value);
      for (int shift = 8 * (sizeof(T) - 1); shift >= 0; shift -= 8)
        bytes += static_cast<char>(static_cast<std::uint8_t>(rest >> shift));
    }
  }
  void put(const std::string& text) {
    const std::size_t length = std::min(text.size(), longest_text);
    put(static_cast<std::uint16_t>(length));
    bytes.append(text, 0, length);
  }
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <class... Fields>
  void operator()(Fields&... values) {
    (take(values), ...);
  }
  bool read_all() const { return good_ && bytes_.empty(); }

 private:
  std::string_view next(std::size_t count) {
    good_ = good_ && count <= bytes_.size();
    const std::string_view taken = good_ ? bytes_.substr(0, count) : std::string_view();
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  template <class T>
  void take(T& value) {
    if constexpr (std::is_enum_v<T>) {
      std::uint8_t number = 0;
      take(number);
      good_ = good_ && number <= last_of(T{});
      value = static_cast<T>(good_ ? number : 0);
    } else {
      std::make_unsigned_t<T> number = 0;
      for (const char byte : next(sizeof(T)))
        number = static_cast<decltype(number)>(std::uint64_t{number} << 8 |
                                               static_cast<std::uint8_t>(byte));
      value = static_cast<T>(number);
    }
  }
  void take(std::string& text) {
    std::uint16_t length = 0;
    take(length);
    good_ = good_ && length <= longest_text;
    text = next(length);
  }
  std::string_view bytes_;
  bool good_ = true;
};

template <std::size_t... Types>
std::optional<Message> read(std::size_t type, std::string_view payload,
                            std::index_sequence<Types...>) {
  std::optional<Message> found;
  const auto as = [&]<std::size_t Type>() {
    std::variant_alternative_t<Type, Message> message;
    Reader reader(payload);
    fields(reader, message);
    if (reader.read_all()) found = std::move(message);
  };
  ((type == Types ? as.template operator()<Types>() : void()), ...);
  return found;
}

std::uint8_t byte_at(std::string_view bytes, std::size_t index) {
  return static_cast<std::uint8_t>(bytes[index]);
}

std::optional<Fault> fault_of_header(std::string_view bytes) {
  const std::string_view begin = bytes.substr(0, magic.size());
  if (begin != magic.substr(0, begin.size())) return Fault::magic;
  if (bytes.size() > 3 && byte_at(bytes, 3) != frame_version) return Fault::version;
  if (bytes.size() > 4 && byte_at(bytes, 4) >= std::variant_size_v<Message>) return Fault::type;
  if (bytes.size() > 5 && byte_at(bytes, 5) != 0) return Fault::payload;
  if (bytes.size() > 6 && byte_at(bytes, 6) > largest_payload >> 8) return Fault::size;
  return std::nullopt;
}

}  // namespace

std::string encode(const Message& message) {
  Writer writer;
  std::visit([&](const auto& known) { fields(writer, known); }, message);
  assert(writer.bytes.size() <= largest_payload);
  std::string frame(magic);
  frame += static_cast<char>(frame_version);
  frame += static_cast<char>(message.index());
  frame += '\0';
  frame += static_cast<char>(static_cast<std::uint8_t>(writer.bytes.size() >> 8));
  frame += static_cast<char>(static_cast<std::uint8_t>(writer.bytes.size()));
  return frame + writer.bytes;
}

std::string_view to_string(Fault fault) {
  constexpr std::string_view names[] = {"magic", "version", "type", "size", "payload"};
  return names[static_cast<std::size_t>(fault)];
}

Decoded decode(std::string_view bytes) {
  if (const auto fault = fault_of_header(bytes)) return {{}, fault, 0};
  if (bytes.size() < header_size) return {};
  const std::size_t size = std::size_t{byte_at(bytes, 6)} << 8 | byte_at(bytes, 7);
  if (size > largest_payload) return {{}, Fault::size, 0};
  if (bytes.size() < header_size + size) return {};
  auto message = read(byte_at(bytes, 4), bytes.substr(header_size, size),
                      std::make_index_sequence<std::variant_size_v<Message>>());
  if (!message) return {{}, Fault::payload, 0};
  return {std::move(message), {}, header_size + size};
}

}  // namespace railwright::coordinator::wire
