#include <sys/mman.h>

#include <cassert>

#include "worker/shm/segments.hpp"

namespace railwright::worker {

std::vector<Segments> make_thread_segments(const std::vector<int>& ranks, Bytes each) {
  constexpr std::uint64_t page = 4096;
  each.count = (each.count + page - 1) / page * page;
  const std::size_t size = each.count * ranks.size();
  void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  assert(pages != MAP_FAILED);
  const std::shared_ptr<void> mapping(pages, [size](void* start) { munmap(start, size); });
  std::vector<Segments> all;
  for (int index = 0; index < static_cast<int>(ranks.size()); ++index) {
    Segments segments{ranks, index, {}, mapping};
    for (std::size_t peer = 0; peer < ranks.size(); ++peer)
      segments.memory.emplace_back(static_cast<std::byte*>(pages) + peer * each.count, each.count);
    all.push_back(std::move(segments));
  }
  return all;
}

}  // namespace railwright::worker
