// Element types and reductions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "topology/result.hpp"

namespace railwright::worker {

enum class DataType : std::uint8_t { float32, float16, bfloat16 };
enum class ReduceOp : std::uint8_t { sum };

std::size_t size_of(DataType type);
std::string to_string(DataType type);  // nccl-tests names: "float", "half", "bfloat16"
tl::expected<DataType, ConfigError> parse_data_type(std::string_view text);

// target[i] = target[i] op source[i]; 16-bit types go through float, rounded to nearest even.
// Both spans hold whole elements and are equally long.
class Reducer {
 public:
  Reducer(DataType type, ReduceOp op);
  void operator()(std::span<std::byte> target, std::span<const std::byte> source) const;
  DataType type() const { return type_; }

 private:
  DataType type_;
  ReduceOp op_;
};

}  // namespace railwright::worker
