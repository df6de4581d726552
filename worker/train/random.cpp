#include "worker/train/random.hpp"

namespace railwright::worker::train {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

// FNV-1a, then mixed with the seed.
std::uint64_t key_of(std::uint64_t seed, std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mixed(hash + mixed(seed + 0x9e3779b97f4a7c15u));
}

std::uint64_t draw(std::uint64_t key, std::uint64_t index) {
  return mixed(key + (index + 1) * 0x9e3779b97f4a7c15u);
}

float uniform(std::uint64_t key, std::uint64_t index, float spread) {
  constexpr float step = 1.0f / (1 << 23);  // 24 bits: exact
  return spread * (static_cast<float>(draw(key, index) >> 40) * step - 1.0f);
}

}  // namespace railwright::worker::train
