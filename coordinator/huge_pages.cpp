// The program `railwright` takes its large arrays in huge pages, whichever container holds them.
#include "topology/huge_pages.hpp"

#include <cstdlib>
#include <new>

namespace {

using railwright::topology::huge_page;

void* allocate(std::size_t size) {
  if (size < huge_page) return std::malloc(size > 0 ? size : 1);
  const std::size_t whole = (size + huge_page - 1) / huge_page * huge_page;
  void* memory = whole >= size ? std::aligned_alloc(huge_page, whole) : nullptr;
  railwright::topology::prefer_huge_pages(memory, whole);
  return memory;
}

}  // namespace

// The other forms of new come here; what it hands out is freed as usual.
void* operator new(std::size_t size) {
  for (;;) {
    if (void* memory = allocate(size); memory != nullptr) return memory;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
