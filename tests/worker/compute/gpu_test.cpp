// The GPU's kernels against doubles of CUDA's runtime and of cuBLAS, loaded as the real ones.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "worker/compute/compute.hpp"
#include "workload/kernel_fit.hpp"

namespace railwright::worker {
namespace {

// While it lives, the environment names the doubles.
struct Named {
  Named() {
    setenv("RAILWRIGHT_CUDART_LIBRARY", FAKE_CUDART_LIBRARY, 1);
    setenv("RAILWRIGHT_CUBLAS_LIBRARY", FAKE_CUBLAS_LIBRARY, 1);
  }
  ~Named() {
    for (const char* name :
         {"RAILWRIGHT_CUDART_LIBRARY", "RAILWRIGHT_CUBLAS_LIBRARY", "RAILWRIGHT_FAKE_DEVICES",
          "RAILWRIGHT_FAKE_MEMORY", "RAILWRIGHT_FAKE_CUBLAS_FAILS"})
      unsetenv(name);
  }
};

TEST_CASE("a GPU's rate and half depth are what cuBLAS takes") {
  const Named named;
  auto gpu = make_gpu(0);
  if (!gpu) FAIL(to_string(gpu.error()));
  CHECK((*gpu)->on_gpu());
  CHECK((*gpu)->name() == "cuBLAS 13.1.0");
  std::vector<double> depth, time;
  for (int k = 64; k <= 1024; k *= 2) {
    const auto taken = (*gpu)->multiply(1024, 1024, k);
    REQUIRE(taken);
    depth.push_back(k);
    time.push_back(taken->value);
  }
  const workload::Line line = workload::fitted_line(depth, time);
  CHECK(2.0 * 1024 * 1024 / line.slope == Approx(1e12).epsilon(0.1));
  CHECK(line.intercept / line.slope == Approx(128).epsilon(0.2));
  const auto copied = (*gpu)->copy(mebibytes(8));
  REQUIRE(copied);
  CHECK(copied->value > 0);
}

TEST_CASE("what a GPU lacks is said with its remedy") {
  const Named named;
  const auto says = [](const auto& result, const std::string& words) {
    REQUIRE_FALSE(result);
    INFO(to_string(result.error()));
    CHECK(to_string(result.error()).find(words) != std::string::npos);
  };
  {
    auto gpu = make_gpu(0);
    REQUIRE(gpu);
    setenv("RAILWRIGHT_FAKE_MEMORY", "1000", 1);
    says((*gpu)->copy(mebibytes(1)), "the GPU has no 1048576 bytes left");
    unsetenv("RAILWRIGHT_FAKE_MEMORY");
    setenv("RAILWRIGHT_FAKE_CUBLAS_FAILS", "1", 1);
    says((*gpu)->multiply(8, 8, 8), "refuses a kernel");
  }
  says(make_gpu(8), "GPU 8 is not found, CUDA counts 8");
  setenv("RAILWRIGHT_FAKE_DEVICES", "0", 1);
  says(make_gpu(0), "no CUDA-capable device");
  setenv("RAILWRIGHT_CUBLAS_LIBRARY", "/no/such/libcublas.so", 1);
  says(make_gpu(0), "cuBLAS cannot be loaded: /no/such/libcublas.so");
  setenv("RAILWRIGHT_CUBLAS_LIBRARY", FAKE_CUDART_LIBRARY, 1);
  says(make_gpu(0), "the libraries lack cublasCreate_v2");
}

}  // namespace
}  // namespace railwright::worker
