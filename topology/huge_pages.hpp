// Large arrays in large pages.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace railwright::topology {

inline constexpr std::size_t huge_page = std::size_t{2} << 20;  // bytes, on x86-64

// Asks for huge pages under memory that was not touched yet, where the kernel gives them on request
// (transparent_hugepage=madvise, Debian's default): a million accelerators are a dozen arrays of
// tens of megabytes, whose faults in pages of 4 KiB are a quarter of a command's time. Only advice:
// small or refused, nothing changes.
inline void prefer_huge_pages(void* memory, std::size_t size) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t from = (begin + huge_page - 1) / huge_page * huge_page;
  const std::uintptr_t to = (begin + size) / huge_page * huge_page;
  if (memory == nullptr || from >= to) return;
  madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
}

}  // namespace railwright::topology
