#include "worker/train/text.hpp"

#include <fmt/format.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "worker/train/random.hpp"

namespace railwright::worker::train {

std::vector<int> Text::sample(std::uint64_t seed, std::int64_t step, std::int64_t sample,
                              std::int64_t sequence) const {
  const auto length = static_cast<std::uint64_t>(sequence) + 1;
  assert(bytes_.size() >= length);
  const std::uint64_t key = key_of(seed + static_cast<std::uint64_t>(step), "text");
  const std::uint64_t places = bytes_.size() - length + 1;
  const std::uint64_t start = draw(key, static_cast<std::uint64_t>(sample)) % places;
  std::vector<int> tokens;
  for (std::uint64_t i = 0; i < length; ++i)
    tokens.push_back(static_cast<unsigned char>(bytes_[start + i]));
  return tokens;
}

Result<Text> load_text(const std::string& path, std::int64_t sequence) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  if (!file)
    return failure({path, 0, 0}, fmt::format("cannot be read: {}", std::strerror(errno)),
                   "write the path of a text file after --text");
  Text text(std::move(bytes).str());
  if (text.bytes().size() > static_cast<std::size_t>(sequence)) return text;
  return failure({path, 0, 0},
                 fmt::format("{} bytes are too few for a sample of {} tokens and the one after",
                             text.bytes().size(), sequence),
                 "take a longer text or plan for a shorter sequence");
}

}  // namespace railwright::worker::train
