// The weights that one rank holds. Each is a part of a tensor of the whole model with a name that
// no degree changes; all lie in one row of memory, weights beside gradients, cut into buckets that
// the data-parallel ranks reduce.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/train/matrix.hpp"

namespace railwright::worker::train {

// A rectangle of a tensor.
struct Part {
  std::int64_t row = 0, rows = 0, column = 0, columns = 0;
  std::int64_t count() const { return rows * columns; }
  bool operator==(const Part&) const = default;
};

struct Parameter {
  std::string name;                    // "layers.3.attention.query.weight"
  std::int64_t rows = 0, columns = 0;  // of the whole tensor
  Part part;                           // what this rank holds
  float spread = 0;                    // begins uniform in [-spread, spread)
  float fill = 0;                      // where spread is 0: begins at this value
  bool copy = false;                   // another rank of the pipeline or tensor group saves it
  bool partial = false;  // the gradient is that of this rank's tokens: summed over the tensor group
  std::size_t offset = 0;  // of the first element
};

struct Bucket {
  std::size_t begin = 0, end = 0;
};

class Parameters {
 public:
  // In the order of the calls; returns its index.
  int add(Parameter parameter);
  // What was added since the last call becomes a bucket, padded to a multiple of `parts` elements.
  void close_bucket(int parts);
  // Initial weights, gradients 0.
  void fill(std::uint64_t seed);

  const std::vector<Parameter>& all() const { return parameters_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  ConstView value(int index) const;
  View value(int index);
  View gradient(int index);
  std::vector<float>& values() { return values_; }
  const std::vector<float>& values() const { return values_; }
  std::vector<float>& gradients() { return gradients_; }

 private:
  std::vector<Parameter> parameters_;
  std::vector<Bucket> buckets_;
  std::size_t size_ = 0;
  std::vector<float> values_, gradients_;
};

}  // namespace railwright::worker::train
