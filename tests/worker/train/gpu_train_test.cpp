// Training with the products of a GPU, against doubles of CUDA's runtime and of cuBLAS.
#include <dlfcn.h>
#include <fmt/format.h>

#include <atomic>
#include <cstdlib>

#include "tests/worker/mpirun.hpp"
#include "tests/worker/train/lab.hpp"

namespace railwright::worker::train {
namespace {

// While it lives, the environment names the doubles.
struct Doubles {
  Doubles() {
    setenv("RAILWRIGHT_CUDART_LIBRARY", FAKE_CUDART_LIBRARY, 1);
    setenv("RAILWRIGHT_CUBLAS_LIBRARY", FAKE_CUBLAS_LIBRARY, 1);
    REQUIRE(dlopen(FAKE_CUDART_LIBRARY, RTLD_NOW | RTLD_GLOBAL) != nullptr);
    void* library = dlopen(FAKE_CUBLAS_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
    REQUIRE(library != nullptr);
    products = reinterpret_cast<std::atomic<int>* (*)()>(dlsym(library, "fake_cublas_products"))();
    *products = 0;
  }
  ~Doubles() {
    for (const char* name :
         {"RAILWRIGHT_CUDART_LIBRARY", "RAILWRIGHT_CUBLAS_LIBRARY", "RAILWRIGHT_FAKE_DEVICES",
          "RAILWRIGHT_FAKE_MEMORY", "RAILWRIGHT_FAKE_CUBLAS_FAILS"})
      unsetenv(name);
  }
  std::atomic<int>* products = nullptr;
};

std::unique_ptr<Products> gpu_of(int rank) {
  auto made = make_gpu_products(rank, 8);
  if (!made) throw std::runtime_error(to_string(made.error()));
  return std::move(*made);
}

// The double knows float32 alone, so these are compared element by element with Eigen's.
TEST_CASE("every form of product, whole or of blocks, is Eigen's within rounding") {
  const Doubles doubles;
  const auto gpu = gpu_of(0);
  CHECK(gpu->on_gpu());
  CHECK(gpu->name() == "cuBLAS 13.1.0");
  for (const auto& [m, n, k] : std::vector<std::array<Eigen::Index, 3>>{
           {1, 1, 1}, {5, 3, 7}, {1, 9, 4}, {9, 1, 4}, {3, 2, 1}, {33, 17, 65}})
    for (const Form form : {Form::plain, Form::left_transposed, Form::right_transposed}) {
      INFO(m << " x " << n << " x " << k << ", form " << static_cast<int>(form));
      const bool left = form == Form::left_transposed, right = form == Form::right_transposed;
      const Matrix a = Matrix::Random((left ? k : m) + 2, (left ? m : k) + 3);
      const Matrix b = Matrix::Random((right ? n : k) + 1, (right ? k : n) + 2);
      const auto a_block = a.block(1, 2, left ? k : m, left ? m : k);
      const auto b_block = b.block(1, 1, right ? n : k, right ? k : n);
      Matrix c = Matrix::Constant(m + 2, n + 2, 7), expected = c;
      gpu->multiply(form, a_block, b_block, c.block(1, 1, m, n));
      cpu_products<float>().multiply(form, a_block, b_block, expected.block(1, 1, m, n));
      CHECK((c - expected).cwiseAbs().maxCoeff() < 1e-5f);
      // What surrounds the block is untouched.
      CHECK(c(0, 0) == 7);
      CHECK(c(m + 1, n + 1) == 7);
    }
  CHECK(*doubles.products == 18);
}

// Per layer and micro-batch: forward 4 products of attention's and 2 or 3 of the MLP's weights,
// backward twice as many; in attention 2 and 4 per sequence and head; 1 and 2 of the head.
int products_of(bool gated, int layers, int heads, int sequences, int micro_batches) {
  const int layer = 3 * (gated ? 7 : 6) + 6 * heads * sequences;
  return micro_batches * (layers * layer + 3);
}

TEST_CASE("a GPU learns the curve of the CPU, and every product goes through cuBLAS") {
  for (const char* model : {gpt_json, llama_json}) {
    const Doubles doubles;
    const auto plan = train_plan(model, "tp=1,micro_batch=2");
    const Trained cpu = train_for(plan, {}, 5);
    CHECK(*doubles.products == 0);
    const Trained gpu = train_for(plan, {}, 5, gpu_of);
    CHECK(*doubles.products == 5 * products_of(model == llama_json, 4, 4, 2, 4));
    REQUIRE(gpu.losses.size() == cpu.losses.size());
    for (std::size_t i = 0; i < cpu.losses.size(); ++i)
      CHECK(gpu.losses[i] == Approx(cpu.losses[i]).margin(1e-5));
    CHECK(gpu.losses != cpu.losses);  // the double adds in another order
    CHECK(train_for(plan, {}, 5, gpu_of).losses == gpu.losses);
  }
}

TEST_CASE("eight GPUs under a split learn what one does") {
  const Doubles doubles;
  const Trained alone = train_for(train_plan(llama_json, "tp=1"), {}, 4, gpu_of);
  const Trained split = train_for(
      train_plan(llama_json, "tp=2,pp=2,dp=2,zero_stage=1,sequence_parallel=true"), {}, 4, gpu_of);
  for (std::size_t i = 0; i < alone.losses.size(); ++i)
    CHECK(split.losses[i] == Approx(alone.losses[i]).margin(1e-5));
  CHECK(split.largest_copy_difference == 0);
}

TEST_CASE("a GPU that is not there, too few or full, is said with its remedy") {
  const Doubles doubles;
  const auto says = [](const auto& result, const std::string& words) {
    REQUIRE_FALSE(result);
    INFO(to_string(result.error()));
    CHECK(to_string(result.error()).find(words) != std::string::npos);
    CHECK(to_string(result.error()).find("; ") != std::string::npos);
  };
  says(make_gpu_products(0, 9), "9 ranks on this machine share 8 GPUs");
  setenv("RAILWRIGHT_FAKE_DEVICES", "0", 1);
  says(make_gpu_products(0, 1), "no CUDA-capable device");
  unsetenv("RAILWRIGHT_FAKE_DEVICES");
  setenv("RAILWRIGHT_FAKE_MEMORY", "1000", 1);
  says(make_gpu_products(0, 1), "the GPU has no 33554432 bytes left");
  unsetenv("RAILWRIGHT_FAKE_MEMORY");
  setenv("RAILWRIGHT_CUBLAS_LIBRARY", "/no/such/libcublas.so", 1);
  says(make_gpu_products(0, 1), "cuBLAS cannot be loaded: /no/such/libcublas.so");
}

TEST_CASE("run --workload train takes the device that it is told, and says which", "[mpi]") {
  const Doubles doubles;
  const Folder folder;
  const auto plan = emulator::make_plan(
      *topology::load_cluster("localhost"), {*workload::load_model("byte-gpt"), 4, 32},
      *workload::parse_degrees("dp=2"), topology::default_calibration());
  REQUIRE(plan);
  REQUIRE(emulator::save_plan(*plan, folder.file("plan.json")));
  const auto train = [&](const std::string& more) {
    return run(folder, 2,
               fmt::format("run --workload train --plan {} --steps 3 --json {} --text {} {}",
                           folder.file("plan.json"), folder.file("run.json"),
                           RAILWRIGHT_SOURCE_DIR "/examples/text/signal-box.txt", more));
  };
  const auto report = [&](const std::string& words) {
    return text_of(folder.file("run.json")).find(words) != std::string::npos;
  };
  for (const char* device : {"auto", "gpu"}) {
    const Ended ended = train(fmt::format("--device {}", device));
    INFO(ended.output << ended.errors);
    REQUIRE(ended.status == 0);
    CHECK(report("\"device\": \"gpu\""));
    CHECK(report("\"products\": \"cuBLAS 13.1.0\""));
  }
  CHECK(train("--device cpu").status == 0);
  CHECK(report("\"device\": \"cpu\""));
  setenv("RAILWRIGHT_FAKE_DEVICES", "1", 1);
  CHECK(train("").status == 0);  // auto: two ranks, one GPU
  CHECK(report("\"device\": \"cpu\""));
  const Ended few = train("--device gpu");
  CHECK(few.status == 2);
  CHECK(few.errors.find("2 ranks on this machine share 1 GPU;") != std::string::npos);
  unsetenv("RAILWRIGHT_FAKE_DEVICES");
  setenv("RAILWRIGHT_FAKE_CUBLAS_FAILS", "1", 1);
  const Ended broken = train("--device gpu");
  INFO(broken.errors);
  CHECK(broken.status == 1);
  CHECK(broken.errors.find("cuBLAS refuses a product of") != std::string::npos);
}

}  // namespace
}  // namespace railwright::worker::train
