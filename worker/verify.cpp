#include "worker/verify.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <functional>

#include "topology/mixed.hpp"
#include "worker/element.hpp"
#include "worker/worker.hpp"

namespace railwright::worker {
namespace {

using collectives::ChunkRange;
using collectives::Operation;
using collectives::Schedule;

constexpr int patterns = 64;

int mantissa_bits(DataType type) {
  switch (type) {
    case DataType::float32:
      return 24;
    case DataType::float16:
      return 11;
    case DataType::bfloat16:
      return 8;
  }
  return 0;
}

// Half-open range of whole elements.
struct Elements {
  std::uint64_t first = 0, end = 0;
};

Elements elements_of(const Schedule& schedule, ChunkRange range, Bytes size, DataType type) {
  const std::uint64_t element = size_of(type);
  const std::uint64_t first =
      collectives::offset_of(schedule, range.first, size, element) / element;
  const std::uint64_t count = collectives::bytes_of(schedule, range, size, element).count / element;
  return {first, first + count};
}

using Visit = std::function<void(Elements, int contributor)>;
constexpr int everybody = -1;

// Parts that hold data before (inputs) or after (results), and whose data it is.
void visit_all_to_all(const Schedule& schedule, int rank, bool after, Bytes size, DataType type,
                      const Visit& visit) {
  for (int peer = 0; peer < schedule.ranks; ++peer) {
    const int source = after ? peer : rank, target = after ? rank : peer;
    const std::int64_t chunk = std::int64_t{source} * schedule.ranks + target;
    visit(elements_of(schedule, {chunk, 1}, size, type), source);
  }
}

void visit_inputs(const Schedule& schedule, int rank, Bytes size, DataType type,
                  const Visit& visit) {
  const Elements all = {0, size.count / size_of(type)};
  switch (schedule.operation) {
    case Operation::all_reduce:
    case Operation::reduce_scatter:
    case Operation::reduce:
      return visit(all, rank);
    case Operation::all_gather:
      return visit(elements_of(schedule, collectives::own_part(schedule, rank), size, type), rank);
    case Operation::broadcast:
      if (rank == schedule.root) visit(all, rank);
      return;
    case Operation::send:
      if (rank == 0) visit(all, rank);
      return;
    case Operation::all_to_all:
      return visit_all_to_all(schedule, rank, false, size, type, visit);
  }
}

void visit_results(const Schedule& schedule, int rank, Bytes size, DataType type,
                   const Visit& visit) {
  const Elements all = {0, size.count / size_of(type)};
  switch (schedule.operation) {
    case Operation::all_reduce:
      return visit(all, everybody);
    case Operation::reduce_scatter:
      return visit(elements_of(schedule, collectives::own_part(schedule, rank), size, type),
                   everybody);
    case Operation::all_gather:
      for (int peer = 0; peer < schedule.ranks; ++peer)
        visit(elements_of(schedule, collectives::own_part(schedule, peer), size, type), peer);
      return;
    case Operation::broadcast:
      return visit(all, schedule.root);
    case Operation::reduce:
      if (rank == schedule.root) visit(all, everybody);
      return;
    case Operation::send:
      if (rank == 0 || rank == schedule.ranks - 1) visit(all, 0);
      return;
    case Operation::all_to_all:
      return visit_all_to_all(schedule, rank, true, size, type, visit);
  }
}

}  // namespace

ExactInputs::ExactInputs(std::uint64_t seed, int ranks, DataType type)
    : seed_(seed), ranks_(ranks) {
  assert(ranks >= 1);
  const std::int64_t budget = std::int64_t{1} << mantissa_bits(type);
  const std::int64_t limit = std::max<std::int64_t>(1, budget / ranks);
  values_.resize(std::size_t{patterns} * ranks);
  sums_.resize(patterns);
  for (int pattern = 0; pattern < patterns; ++pattern)
    for (int role = 0; role < ranks; ++role) {
      const std::uint64_t hash =
          topology::mixed(topology::mixed(seed ^ 0x5eedu) + std::uint64_t(pattern) * ranks + role);
      const auto magnitude = 1 + static_cast<std::int64_t>((hash >> 1) % std::uint64_t(limit));
      const std::int64_t value = role < budget ? (hash & 1 ? magnitude : -magnitude) : 0;
      values_[std::size_t(pattern) * ranks + role] = static_cast<std::int32_t>(value);
      sums_[pattern] += value;
    }
}

ExactInputs::Draw ExactInputs::draw(std::uint64_t element) const {
  const std::uint64_t hash = topology::mixed(seed_ + element);
  // Scales 1/4 to 2: inside the range of half even at 2^11 times 2.
  constexpr float scales[] = {0.25f, 0.5f, 1.0f, 2.0f};
  return {static_cast<int>(hash % patterns),
          static_cast<int>((hash >> 8) % static_cast<std::uint64_t>(ranks_)),
          scales[(hash >> 6) & 3]};
}

float ExactInputs::value(std::uint64_t element, int rank) const {
  const Draw d = draw(element);
  const int role = rank + d.rotation < ranks_ ? rank + d.rotation : rank + d.rotation - ranks_;
  return d.scale * static_cast<float>(values_[std::size_t(d.pattern) * ranks_ + role]);
}

float ExactInputs::sum(std::uint64_t element) const {
  const Draw d = draw(element);
  return d.scale * static_cast<float>(sums_[d.pattern]);
}

void fill_inputs(const Schedule& schedule, int rank, const ExactInputs& inputs, DataType type,
                 std::span<std::byte> buffer) {
  // All ones is a NaN in every type: what is read without having been written shows.
  std::memset(buffer.data(), 0xff, buffer.size());
  const std::size_t width = size_of(type);
  visit_inputs(schedule, rank, vector_bytes(schedule, buffer.size()), type,
               [&](Elements part, int contributor) {
                 for (std::uint64_t i = part.first; i < part.end; ++i)
                   store(type, buffer.data() + i * width, inputs.value(i, contributor));
               });
}

std::uint64_t count_wrong(const Schedule& schedule, int rank, const ExactInputs& inputs,
                          DataType type, std::span<const std::byte> buffer) {
  std::uint64_t wrong = 0;
  const std::size_t width = size_of(type);
  visit_results(schedule, rank, vector_bytes(schedule, buffer.size()), type,
                [&](Elements part, int contributor) {
                  for (std::uint64_t i = part.first; i < part.end; ++i) {
                    const float expected =
                        contributor == everybody ? inputs.sum(i) : inputs.value(i, contributor);
                    wrong += load(type, buffer.data() + i * width) != expected;
                  }
                });
  return wrong;
}

}  // namespace railwright::worker
