#include <fmt/format.h>

#include "worker/reducer.hpp"

namespace railwright::worker {

std::size_t size_of(DataType type) { return type == DataType::float32 ? 4 : 2; }

std::string to_string(DataType type) {
  switch (type) {
    case DataType::float32:
      return "float";
    case DataType::float16:
      return "half";
    case DataType::bfloat16:
      return "bfloat16";
  }
  return "";
}

tl::expected<DataType, ConfigError> parse_data_type(std::string_view text) {
  for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16})
    if (text == to_string(type)) return type;
  return tl::unexpected(ConfigError{
      {}, fmt::format("unknown data type '{}'", text), "write float, half or bfloat16"});
}

}  // namespace railwright::worker
