// What the parts of a stage do in a pass, ready to be written again and again.
#pragma once

#include "workload/stage/recipe.hpp"

namespace railwright::workload {

// A backward holds the gradients of the weights too, unless the schedule gives them a pass of their
// own; then `weight` holds them.
struct PartRecipes {
  Recipe forward, backward, weight;
};

struct StageRecipes {
  PartRecipes dense_layer, expert_layer, embedding, head;
};

// Without bodies: register_bodies() those that the stage has.
StageRecipes stage_recipes(const Training& training, const Degrees& degrees);
void register_bodies(PartRecipes& part, ProgramWriter& writer);

}  // namespace railwright::workload
