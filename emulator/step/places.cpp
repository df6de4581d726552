#include "emulator/step/places.hpp"

namespace railwright::emulator {

using workload::OpKind;

Places::Places(const Layout& layout) : layout_(layout) {
  for (int s = 0; s < layout.stages(); ++s) add_stage(layout.stage(s));
  actors_.reserve(static_cast<std::size_t>(layout.actors()));
  for (int a = 0; a < layout.actors(); ++a) {
    Actor& actor = actors_.emplace_back();
    actor.ops = stages_[layout.stage_of(a)].data();
    actor.successors = layout.of_actor(a).successor.data();
    actor.first_instance = layout.instance(a, 0);
    actor.stride = layout.actors_of_stage(layout.stage_of(a));
    for (int d = 0; d < dimension_count; ++d) {
      const auto dimension = static_cast<workload::Dimension>(d);
      actor.group[d] = layout.group_of(a, dimension);
      actor.first_exchange[d] = layout.first_exchange(dimension, actor.group[d]);
    }
    actor.first_exchange[sends] = layout.first_send(a);
  }
}

void Places::add_stage(const StageLayout& stage) {
  auto& ops = stages_.emplace_back();
  ops.reserve(stage.program.ops.size() + 1);
  for (int i = 0; i < stage.ops(); ++i) {
    const workload::Op& op = stage.program.ops[i];
    const int list = op.kind == OpKind::send ? sends : static_cast<int>(op.group);
    ops.push_back(
        {op.kind, static_cast<std::uint8_t>(list), stage.ordinal[i], stage.first_successor[i]});
  }
  ops.push_back({OpKind::compute, 0, -1, stage.first_successor.back()});
}

}  // namespace railwright::emulator
