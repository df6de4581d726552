// A double of CUDA's runtime: device memory is host memory. RAILWRIGHT_FAKE_DEVICES says how many
// GPUs there are (8), RAILWRIGHT_FAKE_MEMORY how many bytes one allocation may have; the file
// RAILWRIGHT_FAKE_COPIES gets "copies in, copies out" at the end of the process.
#include "tests/worker/nccl/fake_cudart.hpp"

#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

namespace {

struct FakeEvent {
  FakeStream* stream = nullptr;
  std::chrono::steady_clock::time_point moment;
  bool reached = false;
};

long number(const char* variable, long fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::atol(text);
}

FakeEvent* event_of(cudaEvent_t event) { return reinterpret_cast<FakeEvent*>(event); }
FakeStream* stream_of(cudaStream_t stream) { return reinterpret_cast<FakeStream*>(stream); }

void count_copy(cudaMemcpyKind kind) {
  fake_copies()->to_device += kind == cudaMemcpyHostToDevice;
  fake_copies()->to_host += kind == cudaMemcpyDeviceToHost;
}

const struct AtEnd {
  ~AtEnd() {
    const char* path = std::getenv("RAILWRIGHT_FAKE_COPIES");
    if (path != nullptr)
      std::ofstream(path) << fake_copies()->to_device << " in, " << fake_copies()->to_host
                          << " out";
  }
} at_end;

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(number("RAILWRIGHT_FAKE_DEVICES", 8));
  return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaSetDevice(int device) {
  return device < number("RAILWRIGHT_FAKE_DEVICES", 8) ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (static_cast<long>(bytes) > number("RAILWRIGHT_FAKE_MEMORY", 1L << 40))
    return cudaErrorMemoryAllocation;
  *memory = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
FakeCopies* fake_copies() {
  static FakeCopies copies;
  return &copies;
}
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  count_copy(kind);
  std::memcpy(target, source, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* target, size_t target_pitch, const void* source,
                              size_t source_pitch, size_t width, size_t rows, cudaMemcpyKind kind,
                              cudaStream_t) {
  if (width > target_pitch || width > source_pitch) return cudaErrorInvalidPitchValue;
  count_copy(kind);
  for (size_t row = 0; row < rows; ++row)
    std::memcpy(static_cast<char*>(target) + row * target_pitch,
                static_cast<const char*>(source) + row * source_pitch, width);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(new FakeStream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream_of(stream);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = reinterpret_cast<cudaEvent_t>(new FakeEvent);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event_of(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  *event_of(event) = {
      stream_of(stream),
      std::chrono::steady_clock::now() + std::chrono::nanoseconds(stream_of(stream)->worked_ns),
      stream_of(stream)->pending == 0};
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  FakeEvent& e = *event_of(event);
  if (!e.reached && e.stream->pending > 0) return cudaErrorNotReady;
  if (!e.reached)
    e.moment = std::chrono::steady_clock::now() + std::chrono::nanoseconds(e.stream->worked_ns);
  e.reached = true;
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds =
      std::chrono::duration<float, std::milli>(event_of(end)->moment - event_of(begin)->moment)
          .count();
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorNoDevice ? "no CUDA-capable device is detected" : "a CUDA error";
}
}
