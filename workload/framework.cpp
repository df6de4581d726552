#include "workload/framework.hpp"

#include "workload/layer.hpp"

namespace railwright::workload {

StateFormat state_format_of(std::string_view framework, Precision precision) {
  constexpr StateFormat sharded_copy{2, 2, 16, 2}, second_copy{2, 6, 12, 4};
  StateFormat format;
  if (element_bytes(precision) == 4 || framework == "fsdp") {
    format = {4, 4, 8, 4};
    format.recompute_stops_early = framework == "fsdp";
    format.pads_whole_table = framework != "fsdp";
  } else if (framework == "nanotron") {
    format = second_copy;
    format.fused_gate = false;
    format.adds_gradients = true;
    format.pads_whole_table = false;
  } else if (framework == "internevo") {
    format = sharded_copy;
    format.adds_gradients = true;
    format.pads_whole_table = false;
  } else if (framework == "deepspeed" || framework == "megatron-deepspeed") {
    constexpr double bucket = 500'000'000;
    format = precision == Precision::fp16 ? sharded_copy : second_copy;
    format.adds_gradients = true;
    format.pads_whole_table = false;
    format.buffers = to_bytes(bucket * (2 * format.summed + format.weight));
  }
  return format;
}

}  // namespace railwright::workload
