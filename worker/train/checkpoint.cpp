#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "topology/version.hpp"
#include "worker/train/manifest.hpp"
#include "worker/train/train.hpp"

namespace railwright::worker::train {
namespace {

namespace fs = std::filesystem;
constexpr int manifest_tag = pipeline_tags + 4;
constexpr const char* states[] = {"weight", "adam_mean", "adam_variance"};

std::string_view bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

// Elements of a parameter that lie in [begin, end) of the rank's memory.
struct Range {
  std::int64_t first = 0, count = 0;
};
Range overlap(const Parameter& p, std::size_t begin, std::size_t end) {
  const std::size_t size = static_cast<std::size_t>(p.part.count());
  const std::size_t low = std::max(p.offset, begin), high = std::min(p.offset + size, end);
  if (low >= high) return {};
  return {static_cast<std::int64_t>(low - p.offset), static_cast<std::int64_t>(high - low)};
}

const std::vector<float>& moments_of(const Moments& moments, const std::string& state) {
  return state == "adam_mean" ? moments.mean : moments.variance;
}

// Collects the slices of one rank, one after the other in its file.
class FileWriter {
 public:
  void add(const Parameter& p, const std::string& state, Range range, const float* values) {
    if (range.count == 0) return;
    const auto bytes = bytes_of({values, static_cast<std::size_t>(range.count)});
    Tensor& tensor = manifest_.tensors[{p.name, state}];
    tensor.rows = p.rows;
    tensor.columns = p.columns;
    tensor.slices.push_back(
        {p.part, range.first, range.count, {}, bytes_.size(), emulator::sha256(bytes)});
    bytes_ += bytes;
  }
  const std::string& bytes() const { return bytes_; }
  // Every slice in the file of this name.
  Manifest manifest(const std::string& name) && {
    for (auto& [key, tensor] : manifest_.tensors)
      for (Slice& slice : tensor.slices) slice.file = name;
    if (!bytes_.empty()) manifest_.files[name] = bytes_.size();
    return std::move(manifest_);
  }

 private:
  std::string bytes_;
  Manifest manifest_;
};

Errors failed(const std::string& path, const std::string& why) {
  return {{{path, 0, 0}, "cannot be written: " + why, "give another --checkpoint folder"}};
}

}  // namespace

struct Trainer::Written {
  std::string fragment;  // empty: failed
  Errors errors;
};

// Weights are written by the first data-parallel rank, moments by whoever updates with them. The
// name holds a digest: a file that a manifest speaks of is never overwritten by another one.
Trainer::Written Trainer::write_own(const std::string& folder) const {
  const Parameters& parameters = stage_.parameters();
  FileWriter writer;
  for (const Parameter& p : parameters.all()) {
    if (p.copy) continue;
    if (at_.dp == 0)
      writer.add(p, states[0], {0, p.part.count()}, parameters.values().data() + p.offset);
    if (at_.dp > 0 && !optimizer_.sharded()) continue;
    for (const Moments& moments : optimizer_.moments())
      for (const std::string state : {states[1], states[2]}) {
        const Range range = overlap(p, moments.begin, moments.end);
        if (range.count == 0) continue;
        const auto at = p.offset + static_cast<std::size_t>(range.first) - moments.begin;
        writer.add(p, state, range, moments_of(moments, state).data() + at);
      }
  }
  const std::string name = fmt::format("step-{:08}.rank-{:05}.{}.bin", steps_, exchange_.rank(),
                                       emulator::sha256(writer.bytes()).substr(0, 16));
  const std::string path = folder + "/" + name;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return {{}, failed(folder, error.message())};
  const std::string why = writer.bytes().empty() ? "" : write_durably(path, writer.bytes());
  if (!why.empty()) return {{}, failed(path, why)};
  return {fragment_json(std::move(writer).manifest(name)), {}};
}

Errors Trainer::write_manifest(const std::string& folder,
                               const std::vector<std::string>& fragments) const {
  Manifest manifest;
  manifest.tool_version = tool_version;
  manifest.model_sha256 = emulator::sha256(canonical_json(plan_.training.model));
  manifest.text_sha256 = emulator::sha256(text_.bytes());
  manifest.step = steps_;
  manifest.seed = settings_.seed;
  manifest.global_batch = settings_.global_batch;
  manifest.sequence = plan_.training.sequence;
  manifest.adam = settings_.adam;
  const std::string path = folder + "/" + manifest_name(steps_);
  for (const std::string& fragment : fragments)
    if (!join_fragment(fragment, manifest)) return failed(path, "a rank sent no part of it");
  std::string why = sync_folder(folder);
  if (why.empty()) why = write_durably(path, to_json(manifest));
  if (why.empty()) why = sync_folder(folder);
  return why.empty() ? Errors{} : failed(path, why);
}

// On rank 0, in the order of the ranks; elsewhere none.
std::vector<std::string> Trainer::gather(std::string fragment) {
  std::vector<std::string> fragments;
  if (exchange_.rank() != 0) {
    exchange_.post(0, manifest_tag, std::move(fragment));
  } else {
    fragments.push_back(std::move(fragment));
    for (std::int64_t rank = 1; rank < plan_.degrees.world(); ++rank)
      fragments.push_back(exchange_.take(static_cast<int>(rank), manifest_tag));
  }
  exchange_.finish_sends();
  return fragments;
}

// True when nobody has errors; else only the first rank that has keeps them.
bool Trainer::agree(Errors& errors) {
  const auto ranks = static_cast<double>(plan_.degrees.world());
  const double mine = errors.empty() ? 0 : ranks - exchange_.rank();
  double first = mine;
  exchange_.agree_on_largest(first);
  if (mine < first) errors.clear();
  return first == 0;
}

// Rank 0 writes the manifest when all files are there: without it there is no checkpoint.
bool Trainer::save(const std::string& folder, Errors& errors) {
  Written mine;
  exchange_.work_together([&] { mine = write_own(folder); });
  errors = std::move(mine.errors);
  if (!agree(errors)) return false;
  const std::vector<std::string> fragments = gather(std::move(mine.fragment));
  exchange_.work_together([&] {
    if (exchange_.rank() == 0) errors = write_manifest(folder, fragments);
  });
  return agree(errors);
}

namespace {

// Reads tensors of a checkpoint, whatever parts they were written in.
class Reader {
 public:
  Reader(const Manifest& manifest, std::string folder)
      : manifest_(manifest), folder_(std::move(folder)) {}

  // put(i, x) for element i of `part`, counted row by row: for `wanted` of them at least. False
  // when it has noted an error.
  template <class Put>
  bool read(const Parameter& p, const std::string& state, Range wanted, Put put) {
    const auto found = manifest_.tensors.find({p.name, state});
    if (found == manifest_.tensors.end())
      return note(p.name, state, "is missing from the checkpoint");
    const Tensor& tensor = found->second;
    if (tensor.rows != p.rows || tensor.columns != p.columns)
      return note(p.name, state,
                  fmt::format("is {} x {}, the model's is {} x {}", tensor.rows, tensor.columns,
                              p.rows, p.columns));
    std::vector<bool> covered(static_cast<std::size_t>(wanted.count));
    for (const Slice& slice : tensor.slices)
      if (meets(slice.part, p.part) && !read_slice(p, state, slice, wanted, covered, put))
        return false;
    const auto missing = std::ranges::count(covered, false);
    if (missing > 0)
      return note(p.name, state, fmt::format("lacks {} elements in the checkpoint", missing));
    return true;
  }
  Errors& errors() { return errors_; }

 private:
  bool note(const std::string& name, const std::string& state, const std::string& what) {
    errors_.push_back({{folder_, 0, 0},
                       fmt::format("tensor '{}' ({}) {}", name, state, what),
                       "resume from a checkpoint that is whole"});
    return false;
  }

  static bool meets(const Part& a, const Part& b) {
    return a.row < b.row + b.rows && b.row < a.row + a.rows && a.column < b.column + b.columns &&
           b.column < a.column + a.columns;
  }

  template <class Put>
  bool read_slice(const Parameter& p, const std::string& state, const Slice& slice, Range wanted,
                  std::vector<bool>& covered, Put put) {
    const std::string* bytes = file(slice.file);
    if (bytes == nullptr)
      return note(p.name, state, fmt::format("lies in '{}', which {}", slice.file, why_));
    const std::string_view data = std::string_view(*bytes).substr(
        slice.offset, static_cast<std::size_t>(slice.count) * sizeof(float));
    if (!proved_.contains(&slice) && emulator::sha256(data) != slice.sha256)
      return note(p.name, state,
                  fmt::format("is corrupt in '{}': not what its sha256 says", slice.file));
    proved_.insert(&slice);
    for (std::int64_t i = 0; i < slice.count; ++i) {
      const std::int64_t at = slice.first + i;
      const std::int64_t row = slice.part.row + at / slice.part.columns - p.part.row;
      const std::int64_t column = slice.part.column + at % slice.part.columns - p.part.column;
      if (row < 0 || row >= p.part.rows || column < 0 || column >= p.part.columns) continue;
      const std::int64_t mine = row * p.part.columns + column - wanted.first;
      if (mine < 0 || mine >= wanted.count) continue;
      float value;
      std::memcpy(&value, data.data() + i * static_cast<std::int64_t>(sizeof value), sizeof value);
      put(mine, value);
      covered[static_cast<std::size_t>(mine)] = true;
    }
    return true;
  }

  // Null with why_ set when it is not there as written.
  const std::string* file(const std::string& name) {
    if (const auto known = files_.find(name); known != files_.end()) return &known->second;
    std::ifstream in(folder_ + "/" + name, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    const std::uint64_t expected = manifest_.files.at(name);
    std::string bytes = std::move(text).str();
    why_ =
        in ? fmt::format("has {} bytes instead of {}", bytes.size(), expected) : "cannot be read";
    if (!in || bytes.size() != expected) return nullptr;
    return &(files_[name] = std::move(bytes));
  }

  const Manifest& manifest_;
  std::string folder_, why_;
  std::map<std::string, std::string> files_;
  std::set<const Slice*> proved_;
  Errors errors_;
};

Result<Manifest> read_latest(const std::string& folder) {
  const std::string name = latest_manifest(folder);
  if (name.empty())
    return failure({folder, 0, 0}, "holds no checkpoint",
                   "start without --resume, or give the folder of --checkpoint");
  std::ifstream in(folder + "/" + name, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return parse_manifest(text.str(), folder + "/" + name);
}

}  // namespace

Errors Trainer::adopt(const Manifest& manifest, const std::string& folder) {
  Errors errors;
  const auto refuse = [&](bool applies, const char* what, const char* hint) {
    if (applies) errors.push_back({{folder, 0, 0}, what, hint});
  };
  refuse(manifest.model_sha256 != emulator::sha256(canonical_json(plan_.training.model)),
         "the checkpoint is of another model than the plan's", "plan for the model that it is of");
  refuse(manifest.sequence != plan_.training.sequence,
         "the checkpoint was trained on sequences of another length",
         "plan with the same --sequence");
  refuse(manifest.text_sha256 != emulator::sha256(text_.bytes()),
         "the checkpoint was trained on another text", "give the same --text");
  if (!errors.empty()) return errors;
  errors = why_not_trained(plan_, manifest.global_batch, folder);
  steps_ = manifest.step;
  settings_.seed = manifest.seed;
  settings_.adam = manifest.adam;
  settings_.global_batch = manifest.global_batch;
  return errors;
}

Errors Trainer::load(const std::string& folder) {
  const Result<Manifest> manifest = read_latest(folder);
  if (!manifest) return manifest.error();
  if (Errors errors = adopt(*manifest, folder); !errors.empty()) return errors;
  Reader reader(*manifest, folder);
  Parameters& parameters = stage_.parameters();
  for (const Parameter& p : parameters.all()) {
    float* values = parameters.values().data() + p.offset;
    reader.read(p, states[0], {0, p.part.count()},
                [&](std::int64_t i, float value) { values[i] = value; });
    for (Moments& moments : optimizer_.moments()) {
      const Range range = overlap(p, moments.begin, moments.end);
      if (range.count == 0) continue;
      const auto at = p.offset + static_cast<std::size_t>(range.first) - moments.begin;
      reader.read(p, states[1], range,
                  [&](std::int64_t i, float value) { moments.mean[at + i] = value; });
      reader.read(p, states[2], range,
                  [&](std::int64_t i, float value) { moments.variance[at + i] = value; });
    }
  }
  return reader.errors();
}

}  // namespace railwright::worker::train
