// What a checkpoint is: whole tensors by name, each put together from slices that lie in files.
// Nothing in it depends on the degrees it was made under. docs/training.md is the page.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"
#include "worker/train/optimizer.hpp"

namespace railwright::worker::train {

inline constexpr int checkpoint_schema_version = 1;

// `count` floats from element `first` on of the rectangle `part`, counted row by row.
struct Slice {
  Part part;
  std::int64_t first = 0, count = 0;
  std::string file;  // inside the folder
  std::uint64_t offset = 0;
  std::string sha256;  // of its bytes
};

struct Tensor {
  std::int64_t rows = 0, columns = 0;
  std::vector<Slice> slices;
};

// "weight", "adam_mean", "adam_variance" of a parameter.
using TensorKey = std::pair<std::string, std::string>;

struct Manifest {
  std::string tool_version, model_sha256, text_sha256;
  std::int64_t step = 0;  // updates that were done
  std::uint64_t seed = 0;
  std::int64_t global_batch = 0, sequence = 0;
  AdamSettings adam;
  std::map<std::string, std::uint64_t> files;  // bytes of each
  std::map<TensorKey, Tensor> tensors;
};

// The slices and the file of one rank, to be joined on the first.
std::string fragment_json(const Manifest& manifest);
// False where it is none.
bool join_fragment(const std::string& json, Manifest& into);

// With a digest of itself.
std::string to_json(const Manifest& manifest);
Result<Manifest> parse_manifest(std::string_view text, const std::string& file);

// The manifest with the most steps in a folder; empty where there is none.
std::string latest_manifest(const std::string& folder);
// Takes away all but the newest checkpoints, and what is left of others that are older: manifests
// first, so that what has one is whole. What cannot be removed stays.
void keep_newest(const std::string& folder, int count);
std::string manifest_name(std::int64_t step);  // "step-00000100.json"

// Beside the target, to the disk, then renamed: whole or not at all, also when the machine stops.
// What is wrong, or empty.
std::string write_durably(const std::string& path, std::string_view bytes);
std::string sync_folder(const std::string& folder);

}  // namespace railwright::worker::train
