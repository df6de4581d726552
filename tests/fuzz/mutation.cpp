#include "mutation.hpp"

#include <algorithm>
#include <random>

namespace railwright::test {

namespace {

using Draws = std::mt19937_64;

std::size_t below(Draws& draws, std::size_t end) { return end == 0 ? 0 : draws() % end; }

// What breaks parsers: limits of integers, ends of lines, quotes, our own first byte.
constexpr unsigned char special[] = {0,   1,   0x7F, 0x80, 0xFF, 0xF7, 'R',  'W', '\r', '\n',
                                     ':', ' ', '"',  '{',  '}',  '[',  '\\', '%', '/',  '-'};

void mutate(std::string& bytes, const std::vector<std::string>& corpus, Draws& draws) {
  const std::size_t at = below(draws, bytes.size() + 1);
  const std::size_t length = std::min<std::size_t>(1 + below(draws, 16), bytes.size() - at);
  const char value = draws() % 2 == 0 ? static_cast<char>(special[below(draws, sizeof special)])
                                      : static_cast<char>(draws());
  switch (draws() % 8) {
    case 0:
      if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << draws() % 8));
      break;
    case 1:
      if (at < bytes.size()) bytes[at] = value;
      break;
    case 2:
      bytes.insert(at, 1 + below(draws, 4), value);
      break;
    case 3:
      bytes.erase(at, length);
      break;
    case 4:
      bytes.insert(at, bytes.substr(at, length));
      break;
    case 5:
      bytes.resize(at);
      break;
    case 6: {  // go on as another one does
      const std::string& other = corpus[below(draws, corpus.size())];
      bytes = bytes.substr(0, at) + other.substr(below(draws, other.size() + 1));
      break;
    }
    default:
      bytes += corpus[below(draws, corpus.size())];
  }
}

}  // namespace

std::string mutated(const std::vector<std::string>& corpus, std::uint64_t seed, std::uint64_t run) {
  std::seed_seq mixed{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                      static_cast<std::uint32_t>(run), static_cast<std::uint32_t>(run >> 32)};
  Draws draws(mixed);
  std::string bytes = corpus[below(draws, corpus.size())];
  for (std::size_t left = below(draws, 8); left > 0; --left) mutate(bytes, corpus, draws);
  return bytes;
}

}  // namespace railwright::test
