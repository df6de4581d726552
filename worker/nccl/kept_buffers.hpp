// Buffers of many calls that live on the GPU (Backend::keep).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "worker/nccl/library.hpp"

namespace railwright::worker::nccl {

class KeptBuffers {
 public:
  explicit KeptBuffers(const Library& library) : library_(library) {}
  ~KeptBuffers();
  KeptBuffers(const KeptBuffers&) = delete;
  KeptBuffers& operator=(const KeptBuffers&) = delete;

  // Nothing where the GPU has no room. Buffers do not overlap.
  void keep(std::span<const std::byte> host);
  // Where on the GPU the bytes are; null where they are not kept, or not from a buffer's beginning.
  std::byte* device_of(std::span<const std::byte> host) const;
  // Done when they return; no kernel may be under way on the stream. False: the GPU has failed.
  bool send_there(std::span<const std::byte> host, cudaStream_t stream, cudaEvent_t event) const;
  bool fetch(std::span<std::byte> host, cudaStream_t stream, cudaEvent_t event) const;

 private:
  bool wait(cudaError_t started, cudaStream_t stream, cudaEvent_t event) const;
  struct Kept {
    std::span<const std::byte> host;
    void* device = nullptr;
  };
  const Library& library_;
  std::vector<Kept> all_;
};

}  // namespace railwright::worker::nccl
