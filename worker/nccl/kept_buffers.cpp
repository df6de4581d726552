#include "worker/nccl/kept_buffers.hpp"

#include "worker/backoff.hpp"

namespace railwright::worker::nccl {

KeptBuffers::~KeptBuffers() {
  for (const Kept& kept : all_) library_.cudaFree(kept.device);
}

void KeptBuffers::keep(std::span<const std::byte> host) {
  if (host.empty() || device_of(host) != nullptr) return;
  Kept kept{host, nullptr};
  if (library_.cudaMalloc(&kept.device, host.size()) == cudaSuccess) all_.push_back(kept);
}

std::byte* KeptBuffers::device_of(std::span<const std::byte> host) const {
  for (const Kept& kept : all_)
    if (kept.host.data() == host.data() && host.size() <= kept.host.size())
      return static_cast<std::byte*>(kept.device);
  return nullptr;
}

bool KeptBuffers::wait(cudaError_t started, cudaStream_t stream, cudaEvent_t event) const {
  if (started != cudaSuccess || library_.cudaEventRecord(event, stream) != cudaSuccess)
    return false;
  Backoff backoff(200);
  cudaError_t state = library_.cudaEventQuery(event);
  for (; state == cudaErrorNotReady; state = library_.cudaEventQuery(event)) backoff.pause();
  return state == cudaSuccess;
}

bool KeptBuffers::send_there(std::span<const std::byte> host, cudaStream_t stream,
                             cudaEvent_t event) const {
  std::byte* device = device_of(host);
  if (device == nullptr) return true;
  return wait(
      library_.cudaMemcpyAsync(device, host.data(), host.size(), cudaMemcpyHostToDevice, stream),
      stream, event);
}

bool KeptBuffers::fetch(std::span<std::byte> host, cudaStream_t stream, cudaEvent_t event) const {
  const std::byte* device = device_of(host);
  if (device == nullptr) return true;
  return wait(
      library_.cudaMemcpyAsync(host.data(), device, host.size(), cudaMemcpyDeviceToHost, stream),
      stream, event);
}

}  // namespace railwright::worker::nccl
