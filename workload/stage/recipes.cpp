#include "workload/stage/recipes.hpp"

namespace railwright::workload {

namespace {

Kernels joined(std::initializer_list<Kernels> parts) {
  Kernels all;
  for (const Kernels& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class RecipeMaker {
 public:
  RecipeMaker(const Training& training, const Degrees& degrees)
      : degrees_(degrees),
        shape_(rank_shape(training, degrees)),
        hidden_bytes_(shape_.element * shape_.tokens * shape_.hidden) {}

  StageRecipes make() const { return {layer(), embedding(), head()}; }

 private:
  // Where the weights' gradients of a block are written: those of its first GEMM need its input.
  struct WeightKernels {
    Kernels later, first;
  };

  bool splits_weights() const { return degrees_.schedule == PipelineSchedule::zero_bubble_h1; }
  PartRecipes named(const char* part) const;
  PartRecipes layer() const;
  PartRecipes embedding() const;
  PartRecipes head() const;
  void gather(Recipe& recipe) const;
  void exchange_sum(Recipe& recipe) const;
  void block_forward(Recipe& recipe, const std::string& name, const Kernels& kernels) const;
  void block_backward(PartRecipes& part, const std::string& name, const Kernels& to_inputs,
                      const WeightKernels& weights) const;

  const Degrees& degrees_;
  const RankShape shape_;
  const double hidden_bytes_;  // activations of a micro-batch: the vector of TP collectives
};

PartRecipes RecipeMaker::named(const char* part) const {
  const std::string name(part);
  return {Recipe(name + " forward", degrees_), Recipe(name + " backward", degrees_),
          Recipe(name + " weight gradient", degrees_)};
}

void RecipeMaker::gather(Recipe& recipe) const {
  if (degrees_.sequence_parallel)
    recipe.exchange(Dimension::tp, Operation::all_gather, hidden_bytes_);
}

// Of the parts that the ranks of a tensor-parallel group computed.
void RecipeMaker::exchange_sum(Recipe& recipe) const {
  recipe.exchange(Dimension::tp,
                  degrees_.sequence_parallel ? Operation::reduce_scatter : Operation::all_reduce,
                  hidden_bytes_);
}

void RecipeMaker::block_forward(Recipe& recipe, const std::string& name,
                                const Kernels& kernels) const {
  gather(recipe);
  recipe.compute(name + " forward", kernels);
  exchange_sum(recipe);
}

// The weight gradient of the block's first GEMM runs beside the sum of the input's gradients. Under
// sequence parallelism the input was not kept whole: it is gathered again, beside the other work.
void RecipeMaker::block_backward(PartRecipes& part, const std::string& name,
                                 const Kernels& to_inputs, const WeightKernels& weights) const {
  const bool split = splits_weights();
  Recipe& first_gemm = split ? part.weight : part.backward;
  gather(part.backward);
  if (degrees_.sequence_parallel)
    first_gemm.beside(Dimension::tp, Operation::all_gather, hidden_bytes_);
  part.backward.compute(name + " backward", split ? to_inputs : joined({to_inputs, weights.later}));
  if (split) part.weight.compute_beside(name + " weight gradient", weights.later, false);
  exchange_sum(part.backward);
  first_gemm.compute_beside(name + " weight gradient", weights.first, true);
}

PartRecipes RecipeMaker::layer() const {
  const RankShape& s = shape_;
  PartRecipes part = named("layer");
  block_forward(part.forward, "attention", attention_forward(s));
  block_forward(part.forward, "mlp", mlp_forward(s));
  if (degrees_.recompute == Recompute::full) part.backward.append(part.forward);
  const bool again = degrees_.recompute == Recompute::selective && !s.flash;
  block_backward(part, "mlp", mlp_backward(s),
                 {mlp_down_weight_gradient(s), mlp_up_weight_gradient(s)});
  block_backward(part, "attention",
                 joined({again ? core_attention_forward(s) : Kernels{}, attention_backward(s)}),
                 {attention_output_weight_gradient(s), qkv_weight_gradient(s)});
  return part;
}

PartRecipes RecipeMaker::embedding() const {
  PartRecipes part = named("embedding");
  part.forward.compute("embedding forward", embedding_forward(shape_));
  exchange_sum(part.forward);
  Recipe& table = splits_weights() ? part.weight : part.backward;
  gather(table);
  table.compute("embedding backward", embedding_backward(shape_));
  return part;
}

// The loss over a split vocabulary: maximum, target's logit and sum of exponentials, in fp32.
PartRecipes RecipeMaker::head() const {
  PartRecipes part = named("head");
  gather(part.forward);
  part.forward.compute("head forward", head_forward(shape_));
  for (int i = 0; i < 3; ++i)
    part.forward.exchange(Dimension::tp, Operation::all_reduce, 4 * shape_.tokens);
  Recipe& weight = splits_weights() ? part.weight : part.backward;
  if (degrees_.sequence_parallel)
    weight.beside(Dimension::tp, Operation::all_gather, hidden_bytes_);
  part.backward.compute("head backward", head_backward(shape_));
  exchange_sum(part.backward);
  weight.compute_beside("head weight gradient", head_weight_gradient(shape_), true);
  return part;
}

}  // namespace

StageRecipes stage_recipes(const Training& training, const Degrees& degrees) {
  return RecipeMaker(training, degrees).make();
}

void register_bodies(PartRecipes& part, ProgramWriter& writer) {
  for (Recipe* recipe : {&part.forward, &part.backward, &part.weight})
    recipe->register_bodies(writer);
}

}  // namespace railwright::workload
