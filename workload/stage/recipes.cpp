#include "workload/stage/recipes.hpp"

namespace railwright::workload {

namespace {

Kernels joined(std::initializer_list<Kernels> parts) {
  Kernels all;
  for (const Kernels& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// Reads the new gradient, reads and writes the sum, which lies in the new one's place or in fp32.
double bytes_of_adding(const StateFormat& state) {
  if (!state.adds_gradients) return 0;
  const double fresh = 2, sum = state.gradient > fresh ? state.gradient - fresh : fresh;
  return fresh + 2 * sum;
}

class RecipeMaker {
 public:
  RecipeMaker(const Training& training, const Degrees& degrees)
      : degrees_(degrees),
        shape_(rank_shape(training, degrees)),
        added_bytes_(bytes_of_adding(state_format(training))),
        stops_early_(state_format(training).recompute_stops_early && !shape_.dropout),
        hidden_bytes_(shape_.element * shape_.tokens * shape_.hidden),
        routed_bytes_(shape_.element * shape_.dispatched_tokens * shape_.hidden) {}

  StageRecipes make() const { return {layer(false), layer(true), embedding(), head()}; }

 private:
  bool splits_weights() const { return degrees_.schedule == PipelineSchedule::zero_bubble_h1; }
  bool is_ring() const { return degrees_.context == ContextExchange::ring && degrees_.cp > 1; }
  Recipe& weights_of(PartRecipes& part) const {
    return splits_weights() ? part.weight : part.backward;
  }
  PartRecipes named(const char* part) const;
  PartRecipes layer(bool has_experts) const;
  PartRecipes embedding() const;
  PartRecipes head() const;

  void gather(Recipe& recipe) const;
  void gather_beside(Recipe& recipe, double bytes) const;
  void exchange_sum(Recipe& recipe) const;
  Kernels added(Kernels weights) const;
  void compute_backward(PartRecipes& part, const std::string& name, const Kernels& to_inputs,
                        const Kernels& weights) const;

  double attention_input_bytes() const;
  void attention_forward(Recipe& recipe) const;
  void attention_backward(PartRecipes& part) const;
  void core_forward(Recipe& recipe) const;
  void core_backward(Recipe& recipe) const;
  void swap_sequence_for_heads(Recipe& recipe, std::initializer_list<double> widths) const;
  void mlp_backward(PartRecipes& part, const std::string& name, const RankShape& shape,
                    const Kernels& to_inputs) const;
  void layer_forward(Recipe& recipe, bool has_experts) const;
  void recompute(PartRecipes& part, bool has_experts) const;
  void experts_forward(Recipe& recipe) const;
  void experts_backward(PartRecipes& part) const;
  void dispatch(Recipe& recipe) const;
  void combine(Recipe& recipe) const;

  const Degrees& degrees_;
  const RankShape shape_;
  const double added_bytes_;   // of a parameter, to add a gradient to the sum
  const bool stops_early_;     // what follows the last kept tensor is not recomputed
  const double hidden_bytes_;  // activations of a micro-batch: the vector of TP collectives
  const double routed_bytes_;  // tokens that a rank sends to their experts
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

// Under sequence parallelism the input of a block was not kept whole: it is gathered again, beside
// the other work.
void RecipeMaker::gather_beside(Recipe& recipe, double bytes) const {
  if (degrees_.sequence_parallel) recipe.beside(Dimension::tp, Operation::all_gather, bytes);
}

// Of the parts that the ranks of a tensor-parallel group computed.
void RecipeMaker::exchange_sum(Recipe& recipe) const {
  recipe.exchange(Dimension::tp,
                  degrees_.sequence_parallel ? Operation::reduce_scatter : Operation::all_reduce,
                  hidden_bytes_);
}

// Gradients of weights, with what adds them up.
Kernels RecipeMaker::added(Kernels weights) const {
  if (added_bytes_ == 0) return weights;
  for (std::size_t i = 0, products = weights.size(); i < products; ++i) {
    const MatrixShape& weight = weights[i].shape;
    weights.push_back({"add_gradient",
                       KernelKind::exact_vector,
                       {0},
                       added_bytes_ * weight.m * weight.n * weight.batch,
                       weights[i].count});
  }
  return weights;
}

void RecipeMaker::compute_backward(PartRecipes& part, const std::string& name,
                                   const Kernels& to_inputs, const Kernels& weights) const {
  const bool split = splits_weights();
  part.backward.compute(name + " backward",
                        split ? to_inputs : joined({to_inputs, added(weights)}));
  if (split) part.weight.compute_beside(name + " weight gradient", added(weights), false);
}

// ---- attention

// What the up projections read whole: the input, or with latent attention the latents.
double RecipeMaker::attention_input_bytes() const {
  if (shape_.kv_rank == 0) return hidden_bytes_;
  const double direct = shape_.query_rank > 0 ? 0 : shape_.hidden;
  return shape_.element * shape_.tokens * (shape_.latents() + direct);
}

void RecipeMaker::attention_forward(Recipe& recipe) const {
  recipe.compute("latents forward", latent_forward(shape_));
  if (degrees_.sequence_parallel)
    recipe.exchange(Dimension::tp, Operation::all_gather, attention_input_bytes());
  recipe.compute("attention forward", qkv_forward(shape_));
  core_forward(recipe);
  recipe.compute("attention forward", attention_output_forward(shape_));
  exchange_sum(recipe);
}

void RecipeMaker::swap_sequence_for_heads(Recipe& recipe,
                                          std::initializer_list<double> widths) const {
  for (const double width : widths)
    recipe.exchange(Dimension::cp, Operation::all_to_all, shape_.element * shape_.tokens * width);
}

// Round the ring a rank has the keys of one part more after each step: the attention to all but the
// last part runs beside, as if the steps were one exchange.
void RecipeMaker::core_forward(Recipe& recipe) const {
  const RankShape& s = shape_;
  const int c = degrees_.cp;
  const Kernels core = core_attention_forward(s);
  if (!is_ring()) {
    swap_sequence_for_heads(recipe, {s.query, s.kv, s.kv});
    recipe.compute("attention forward", core);
    return swap_sequence_for_heads(recipe, {s.context});
  }
  recipe.beside(Dimension::cp, Operation::all_gather, 2 * s.element * s.tokens * c * s.kv);
  recipe.compute("ring attention forward", attention_blocks(core, c, c - 1));
  recipe.await_beside();
  recipe.compute("attention forward", attention_blocks(core, c, 1));
}

// The gradients of keys and values go round too; their sum begins one part before the end.
void RecipeMaker::core_backward(Recipe& recipe) const {
  const RankShape& s = shape_;
  const int c = degrees_.cp;
  const bool again = degrees_.recompute == Recompute::selective && !s.flash;
  const Kernels core =
      joined({again ? core_attention_forward(s) : Kernels{}, core_attention_backward(s)});
  if (!is_ring()) {
    swap_sequence_for_heads(recipe, {s.context});
    recipe.compute("attention backward", core);
    return swap_sequence_for_heads(recipe, {s.query, s.kv, s.kv});
  }
  const double key_value_bytes = 2 * s.element * s.tokens * c * s.kv;
  recipe.beside(Dimension::cp, Operation::all_gather, key_value_bytes);
  recipe.compute("ring attention backward", attention_blocks(core, c, c - 1));
  recipe.await_beside();
  recipe.beside(Dimension::cp, Operation::reduce_scatter, key_value_bytes);
  recipe.compute("attention backward", attention_blocks(core, c, 1));
  recipe.await_beside();
}

// The weight gradient of the block's first GEMM runs beside the sum of the input's gradients.
void RecipeMaker::attention_backward(PartRecipes& part) const {
  const RankShape& s = shape_;
  const bool latent = s.kv_rank > 0;
  gather(part.backward);
  gather_beside(weights_of(part), attention_input_bytes());
  compute_backward(part, "attention", attention_output_backward(s),
                   attention_output_weight_gradient(s));
  core_backward(part.backward);
  part.backward.compute("attention backward", qkv_backward(s));
  if (!latent) exchange_sum(part.backward);
  if (latent && degrees_.sequence_parallel)
    part.backward.exchange(Dimension::tp, Operation::reduce_scatter, attention_input_bytes());
  weights_of(part).compute_beside("qkv weight gradient", added(qkv_weight_gradient(s)), true);
  if (latent) compute_backward(part, "latents", latent_backward(s), latent_weight_gradient(s));
}

// ---- MLP and experts

void RecipeMaker::mlp_backward(PartRecipes& part, const std::string& name, const RankShape& shape,
                               const Kernels& to_inputs) const {
  gather(part.backward);
  gather_beside(weights_of(part), hidden_bytes_);
  compute_backward(part, name, to_inputs, mlp_down_weight_gradient(shape));
  exchange_sum(part.backward);
  weights_of(part).compute_beside(name + " weight gradient", added(mlp_up_weight_gradient(shape)),
                                  true);
}

void RecipeMaker::dispatch(Recipe& recipe) const {
  recipe.exchange(Dimension::ep, Operation::all_to_all, routed_bytes_);
  recipe.exchange(Dimension::etp, Operation::all_gather, routed_bytes_ * degrees_.etp);
}

void RecipeMaker::combine(Recipe& recipe) const {
  recipe.exchange(Dimension::etp, Operation::reduce_scatter, routed_bytes_ * degrees_.etp);
  recipe.exchange(Dimension::ep, Operation::all_to_all, routed_bytes_);
}

void RecipeMaker::experts_forward(Recipe& recipe) const {
  recipe.compute("router forward", router_forward(shape_));
  if (shape_.shared_ffn > 0) {
    gather(recipe);
    recipe.compute("shared experts forward", mlp_core_forward(shared_expert_shape(shape_)));
    exchange_sum(recipe);
  }
  dispatch(recipe);
  recipe.compute("experts forward", workload::experts_forward(shape_));
  combine(recipe);
  recipe.compute("combine forward", combine_forward(shape_));
}

// The gradients of combining are dispatched, those of dispatching combined.
void RecipeMaker::experts_backward(PartRecipes& part) const {
  const RankShape& s = shape_;
  part.backward.compute("combine backward", combine_backward(s));
  dispatch(part.backward);
  compute_backward(part, "experts", workload::experts_backward(s), experts_down_weight_gradient(s));
  combine(part.backward);
  weights_of(part).compute_beside("experts weight gradient", added(experts_up_weight_gradient(s)),
                                  false);
  if (s.shared_ffn > 0) {
    const RankShape shared = shared_expert_shape(s);
    mlp_backward(part, "shared experts", shared, mlp_core_backward(shared));
  }
  compute_backward(part, "router", router_backward(s), router_weight_gradient(s));
}

void RecipeMaker::layer_forward(Recipe& recipe, bool has_experts) const {
  attention_forward(recipe);
  if (has_experts) return experts_forward(recipe);
  gather(recipe);
  recipe.compute("mlp forward", mlp_forward(shape_));
  exchange_sum(recipe);
}

// The last product keeps its input, not what it puts out: nothing of the backward waits for it.
void RecipeMaker::recompute(PartRecipes& part, bool has_experts) const {
  if (!stops_early_ || has_experts) return part.backward.append(part.forward);
  attention_forward(part.backward);
  gather(part.backward);
  part.backward.compute("mlp forward", mlp_forward_without_down(shape_));
}

PartRecipes RecipeMaker::layer(bool has_experts) const {
  PartRecipes part = named(has_experts ? "expert layer" : "layer");
  layer_forward(part.forward, has_experts);
  if (degrees_.recompute == Recompute::full) recompute(part, has_experts);
  has_experts ? experts_backward(part)
              : mlp_backward(part, "mlp", shape_, workload::mlp_backward(shape_));
  attention_backward(part);
  return part;
}

PartRecipes RecipeMaker::embedding() const {
  PartRecipes part = named("embedding");
  part.forward.compute("embedding forward", embedding_forward(shape_));
  exchange_sum(part.forward);
  Recipe& table = weights_of(part);
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
  Recipe& weight = weights_of(part);
  gather_beside(weight, hidden_bytes_);
  part.backward.compute("head backward", head_backward(shape_));
  exchange_sum(part.backward);
  weight.compute_beside("head weight gradient", added(head_weight_gradient(shape_)), true);
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
