#include "worker/train/stage.hpp"

#include <cassert>

namespace railwright::worker::train {
namespace {

Shape shape_of(const emulator::Plan& plan, int rank, const Exchange& exchange) {
  const workload::Model& model = plan.training.model;
  const workload::Degrees& degrees = plan.degrees;
  const auto at = workload::coordinates_of(rank, degrees, plan.placement.order);
  Shape shape;
  shape.norm = model.layer_norm ? Norm::layer : Norm::root_mean_square;
  shape.gated = model.gated_mlp;
  shape.biases = model.biases;
  shape.qkv_bias = model.qkv_bias;
  shape.learned_positions = model.learned_positions;
  shape.rotary = !model.learned_positions;
  shape.tied = model.tied_embeddings;
  shape.hidden = model.hidden;
  shape.ffn = model.ffn_hidden / degrees.tp;
  shape.all_ffn = model.ffn_hidden;
  shape.heads = {degrees.micro_batch, plan.training.sequence, model.heads / degrees.tp,
                 model.kv_heads / degrees.tp, model.head_dim};
  shape.all_heads = model.heads;
  shape.all_kv_heads = model.kv_heads;
  shape.vocabulary = model.vocabulary;
  shape.positions = model.positions > 0 ? model.positions : plan.training.sequence;
  const std::int64_t words = workload::vocabulary_shard(model, degrees.tp);
  shape.first_word = std::min(model.vocabulary, words * at.tp);
  shape.words = std::min(model.vocabulary, words * (at.tp + 1)) - shape.first_word;
  for (int stage = 0; stage < at.pp; ++stage) shape.first_layer += plan.layers_per_stage[stage];
  shape.layers = plan.layers_per_stage[at.pp];
  shape.all_layers = model.layers;
  shape.first = at.pp == 0;
  shape.last = at.pp == degrees.pp - 1;
  shape.tensor_ranks = exchange.ranks(Dimension::tp);
  shape.tensor_index = exchange.group(Dimension::tp).index;
  shape.sequence_parallel = degrees.sequence_parallel && degrees.tp > 1;
  return shape;
}

}  // namespace

Stage::Stage(const emulator::Plan& plan, std::uint64_t seed, Exchange& exchange, Products& products)
    : exchange_(exchange),
      products_(products),
      shape_(shape_of(plan, exchange.rank(), exchange)),
      group_(shape_, exchange),
      recompute_(plan.degrees.recompute == workload::Recompute::full) {
  add_parameters(plan.degrees.dp);
  parameters_.fill(seed);
}

int Stage::add_table(const std::string& name, bool copy) {
  Parameter table{
      name, shape_.vocabulary, shape_.hidden, {shape_.first_word, shape_.words, 0, shape_.hidden}};
  table.spread = initial_spread;
  table.copy = copy;
  return parameters_.add(std::move(table));
}

// A table that two stages share is a bucket of its own: cut alike on both, it is reduced alike, and
// both keep the same bits.
void Stage::add_parameters(int data_ranks) {
  const bool alone = shape_.first && shape_.last;
  const bool shared = shape_.tied && !alone && (shape_.first || shape_.last);
  if (shape_.first || shared) embedding_ = add_table("embedding.token", shared && shape_.last);
  if (shared) {
    parameters_.close_bucket(data_ranks);
    tied_bucket_ = 0;
  }
  if (shape_.first && shape_.learned_positions) {
    Parameter table{"embedding.position",
                    shape_.positions,
                    shape_.hidden,
                    {0, shape_.positions, 0, shape_.hidden}};
    table.spread = initial_spread;
    table.copy = shape_.tensor_index > 0;
    table.partial = shape_.sequence_parallel;
    positions_ = parameters_.add(std::move(table));
  }
  for (std::int64_t layer = 0; layer < shape_.layers; ++layer)
    blocks_.push_back(add_block(parameters_, shape_, shape_.first_layer + layer));
  if (shape_.last) {
    Parameter gain{"norm.gain", 1, shape_.hidden, {0, 1, 0, shape_.hidden}};
    gain.fill = 1;
    gain.copy = shape_.tensor_index > 0;
    gain.partial = shape_.sequence_parallel;
    Parameter bias = gain;
    bias.name = "norm.bias";
    bias.fill = 0;
    norm_gain_ = parameters_.add(std::move(gain));
    if (shape_.norm == Norm::layer) norm_bias_ = parameters_.add(std::move(bias));
    head_ = shape_.tied ? embedding_ : add_table("head.weight", false);
  }
  parameters_.close_bucket(data_ranks);
}

Matrix Stage::embed(const MicroBatch& micro_batch) {
  assert(shape_.first);
  const View table = parameters_.value(embedding_);
  Matrix x = Matrix::Zero(shape_.tokens(), shape_.hidden);
  for (std::int64_t i = 0; i < shape_.tokens(); ++i) {
    const std::int64_t word = micro_batch.inputs[static_cast<std::size_t>(i)] - shape_.first_word;
    if (word >= 0 && word < shape_.words) x.row(i) = table.row(word);
  }
  x = group_.summed(std::move(x));
  if (positions_ < 0) return x;
  const std::int64_t first = shape_.sequence_parallel ? shape_.tensor_index * shape_.rows() : 0;
  for (std::int64_t i = 0; i < shape_.rows(); ++i)
    x.row(i) += parameters_.value(positions_).row((first + i) % shape_.heads.sequence);
  return x;
}

Matrix Stage::forward(Matrix x, MicroBatch& micro_batch) {
  micro_batch.blocks.resize(recompute_ ? 1 : blocks_.size());
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (recompute_) micro_batch.layer_inputs.push_back(x);
    BlockSaved& saved = micro_batch.blocks[recompute_ ? 0 : i];
    x = block_forward(means(), blocks_[i], x, saved);
  }
  if (recompute_) micro_batch.blocks.clear();
  return x;
}

// The parts of the vocabulary meet in one all-gather of three numbers per token.
double Stage::loss(const Matrix& x, MicroBatch& micro_batch) {
  assert(shape_.last);
  const Parameters& read = parameters_;
  micro_batch.read_by_head = group_.whole(norm<float>(shape_.norm, x, read.value(norm_gain_),
                                                      read.value(norm_bias_), micro_batch.norm));
  micro_batch.logits = product<float>(products_, Form::right_transposed, micro_batch.read_by_head,
                                      read.value(head_));
  const auto mine = partial_losses(micro_batch.logits, micro_batch.targets, shape_.first_word);
  std::vector<PartialLoss<float>> parts(mine.size() * shape_.tensor_ranks);
  std::ranges::copy(mine,
                    parts.begin() + static_cast<std::ptrdiff_t>(mine.size()) * shape_.tensor_index);
  static_assert(sizeof(PartialLoss<float>) == 3 * sizeof(float));
  exchange_.all_gather(Dimension::tp, {&parts.front().largest, 3 * parts.size()});
  micro_batch.losses = cross_entropy<float>(parts, mine.size());
  double sum = 0;
  for (const TokenLoss& token : micro_batch.losses) sum += token.loss;
  return sum;
}

Matrix Stage::loss_backward(const MicroBatch& micro_batch, double scale) {
  const Parameters& read = parameters_;
  const Matrix d_logits = cross_entropy_backward<float>(
      micro_batch.logits, micro_batch.targets, shape_.first_word, micro_batch.losses, scale);
  const bool joins = shape_.tied && shape_.first;
  if (joins) head_gradient_.setZero(shape_.words, shape_.hidden);
  add_weight_gradient<float>(products_, d_logits, micro_batch.read_by_head,
                             joins ? View(head_gradient_.data(), shape_.words, shape_.hidden)
                                   : parameters_.gradient(head_));
  const Matrix d =
      group_.summed(product<float>(products_, Form::plain, d_logits, read.value(head_)));
  return norm_backward<float>(shape_.norm, d, read.value(norm_gain_), micro_batch.norm,
                              parameters_.gradient(norm_gain_), parameters_.gradient(norm_bias_));
}

Matrix Stage::backward(Matrix dy, MicroBatch& micro_batch) {
  for (std::size_t i = blocks_.size(); i-- > 0;) {
    BlockSaved again;
    if (recompute_) block_forward(means(), blocks_[i], micro_batch.layer_inputs[i], again);
    const BlockSaved& saved = recompute_ ? again : micro_batch.blocks[i];
    dy = block_backward(means(), blocks_[i], dy, saved);
  }
  return dy;
}

void Stage::embed_backward(const Matrix& dx, const MicroBatch& micro_batch) {
  if (positions_ >= 0) {
    Matrix sum = Matrix::Zero(shape_.positions, shape_.hidden);
    const std::int64_t first = shape_.sequence_parallel ? shape_.tensor_index * shape_.rows() : 0;
    for (std::int64_t i = 0; i < shape_.rows(); ++i)
      sum.row((first + i) % shape_.heads.sequence) += dx.row(i);
    parameters_.gradient(positions_) += sum;
  }
  const Matrix d = group_.whole(dx);
  Matrix sum = Matrix::Zero(shape_.words, shape_.hidden);
  for (std::int64_t i = 0; i < shape_.tokens(); ++i) {
    const std::int64_t word = micro_batch.inputs[static_cast<std::size_t>(i)] - shape_.first_word;
    if (word >= 0 && word < shape_.words) sum.row(word) += d.row(i);
  }
  if (head_gradient_.size() > 0) sum += head_gradient_;
  head_gradient_.resize(0, 0);
  parameters_.gradient(embedding_) += sum;
}

void Stage::sum_partial_gradients() {
  if (!shape_.sequence_parallel) return;
  std::vector<float> values;
  const auto each = [&](auto visit) {
    for (std::size_t i = 0; i < parameters_.all().size(); ++i)
      if (parameters_.all()[i].partial) visit(parameters_.gradient(static_cast<int>(i)));
  };
  each([&](View gradient) {
    values.insert(values.end(), gradient.data(), gradient.data() + gradient.size());
  });
  exchange_.all_reduce(Dimension::tp, values);
  const float* from = values.data();
  each([&](View gradient) {
    std::copy_n(from, gradient.size(), gradient.data());
    from += gradient.size();
  });
}

}  // namespace railwright::worker::train
