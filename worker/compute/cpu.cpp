#include <Eigen/Dense>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>

#include "worker/bench/interval.hpp"
#include "worker/compute/compute.hpp"

namespace railwright::worker {
namespace {

using Clock = std::chrono::steady_clock;

// So often that a turn lasts some milliseconds, and several turns.
Seconds median_time(const std::function<void()>& work) {
  constexpr double turn = 4e-3;
  constexpr int turns = 7;
  const auto time_of = [&](int times) {
    const auto start = Clock::now();
    for (int i = 0; i < times; ++i) work();
    return std::chrono::duration<double>(Clock::now() - start).count() / times;
  };
  time_of(1);
  const int times = std::clamp(static_cast<int>(turn / std::max(time_of(1), 1e-9)), 1, 10'000);
  std::vector<double> all;
  for (int i = 0; i < turns; ++i) all.push_back(time_of(times));
  return {median_of(all).value};
}

class Cpu : public Processor {
 public:
  std::string name() const override { return "Eigen on one core"; }
  bool on_gpu() const override { return false; }
  topology::Precision precision() const override { return topology::Precision::fp32; }

  Result<Seconds> multiply(int m, int n, int k) override {
    using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Matrix a = Matrix::Constant(m, k, 1.5f), b = Matrix::Constant(k, n, 0.5f);
    Matrix c = Matrix::Zero(m, n);
    const Seconds time = median_time([&] { c.noalias() = a * b; });
    if (c(0, 0) != 0.75f * static_cast<float>(k))
      return failure({}, "a product of matrices is wrong", "report this");
    return time;
  }

  Result<Seconds> copy(Bytes moved) override {
    const std::size_t half = moved.count / 2;
    const std::vector<std::byte> source(half, std::byte{1});
    std::vector<std::byte> target(half);
    const Seconds time =
        median_time([&] { std::memcpy(target.data(), source.data(), source.size()); });
    if (target.back() != source.back())
      return failure({}, "a copy in memory is wrong", "report this");
    return time;
  }
};

}  // namespace

std::unique_ptr<Processor> make_cpu() { return std::make_unique<Cpu>(); }

}  // namespace railwright::worker
