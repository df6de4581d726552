// The NCCL backend on the doubles of its libraries, which are loaded through the same path as the
// real ones.
#pragma once

#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <memory>
#include <stdexcept>

#include "tests/worker/nccl/fake_nccl.hpp"
#include "worker/nccl/nccl_backend.hpp"

namespace railwright::worker {

inline const NcclLibraries doubles{FAKE_NCCL_LIBRARY, FAKE_CUDART_LIBRARY};

// The double as it is at the beginning, and what it has seen since.
inline FakeNccl& fresh_double() {
  void* library = dlopen(FAKE_CUDART_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  REQUIRE(library != nullptr);
  library = dlopen(FAKE_NCCL_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
  REQUIRE(library != nullptr);
  auto* found = reinterpret_cast<decltype(&fake_nccl)>(dlsym(library, "fake_nccl"))();
  *found = FakeNccl{};
  return *found;
}

inline std::unique_ptr<Backend> backend_of(Transport& transport) {
  auto backend = make_nccl_backend(transport, {transport.rank(), transport.size()}, doubles);
  if (!backend) throw std::runtime_error(to_string(backend.error()));
  return std::move(*backend);
}

}  // namespace railwright::worker
