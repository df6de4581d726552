#include "worker/train/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "emulator/plan.hpp"

namespace railwright::worker::train {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

Json json_of(const Slice& slice) {
  return {
      {"file", slice.file},      {"offset_bytes", slice.offset}, {"row", slice.part.row},
      {"rows", slice.part.rows}, {"column", slice.part.column},  {"columns", slice.part.columns},
      {"first", slice.first},    {"count", slice.count},         {"sha256", slice.sha256}};
}

Json tensors_json(const Manifest& manifest) {
  Json tensors = Json::array();
  for (const auto& [key, tensor] : manifest.tensors) {
    Json slices = Json::array();
    for (const Slice& slice : tensor.slices) slices.push_back(json_of(slice));
    tensors.push_back({{"name", key.first},
                       {"state", key.second},
                       {"rows", tensor.rows},
                       {"columns", tensor.columns},
                       {"slices", slices}});
  }
  return tensors;
}

Json files_json(const Manifest& manifest) {
  Json files = Json::array();
  for (const auto& [name, bytes] : manifest.files)
    files.push_back({{"name", name}, {"bytes", bytes}});
  return files;
}

Slice slice_of(const Json& json) {
  Slice slice;
  slice.file = json.at("file").get<std::string>();
  slice.offset = json.at("offset_bytes").get<std::uint64_t>();
  slice.part = {json.at("row").get<std::int64_t>(), json.at("rows").get<std::int64_t>(),
                json.at("column").get<std::int64_t>(), json.at("columns").get<std::int64_t>()};
  slice.first = json.at("first").get<std::int64_t>();
  slice.count = json.at("count").get<std::int64_t>();
  slice.sha256 = json.at("sha256").get<std::string>();
  return slice;
}

void read_tensors(const Json& json, Manifest& manifest) {
  for (const Json& entry : json.at("tensors")) {
    Tensor& tensor =
        manifest
            .tensors[{entry.at("name").get<std::string>(), entry.at("state").get<std::string>()}];
    tensor.rows = entry.at("rows").get<std::int64_t>();
    tensor.columns = entry.at("columns").get<std::int64_t>();
    for (const Json& slice : entry.at("slices")) tensor.slices.push_back(slice_of(slice));
  }
  for (const Json& file : json.at("files"))
    manifest.files[file.at("name").get<std::string>()] = file.at("bytes").get<std::uint64_t>();
}

bool inside(const Part& part, const Tensor& tensor) {
  const auto fits = [](std::int64_t first, std::int64_t count, std::int64_t whole) {
    return first >= 0 && count >= 0 && first <= whole && count <= whole - first;
  };
  return fits(part.row, part.rows, tensor.rows) && fits(part.column, part.columns, tensor.columns);
}

// Empty when the slice lies in its tensor and its file.
std::string why_not(const Slice& slice, const Tensor& tensor, const Manifest& manifest) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  if (tensor.rows < 0 || tensor.columns < 0 || tensor.rows > most || tensor.columns > most ||
      (tensor.rows > 0 && tensor.columns > most / tensor.rows))
    return "an absurd size";
  if (!inside(slice.part, tensor)) return "a slice outside of it";
  if (slice.first < 0 || slice.count < 0 || slice.first > slice.part.count() ||
      slice.count > slice.part.count() - slice.first)
    return "a slice longer than its rectangle";
  const auto file = manifest.files.find(slice.file);
  if (file == manifest.files.end()) return fmt::format("a slice in no known file '{}'", slice.file);
  if (slice.file.find('/') != std::string::npos) return "a slice in a file of another folder";
  const std::uint64_t bytes = static_cast<std::uint64_t>(slice.count) * sizeof(float);
  if (slice.offset > file->second || bytes > file->second - slice.offset)
    return fmt::format("a slice beyond the end of '{}'", slice.file);
  return {};
}

}  // namespace

std::string fragment_json(const Manifest& manifest) {
  return Json{{"tensors", tensors_json(manifest)}, {"files", files_json(manifest)}}.dump();
}

bool join_fragment(const std::string& text, Manifest& into) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return false;
  read_tensors(json, into);
  return true;
}

std::string to_json(const Manifest& manifest) {
  const Json content = {{"schema_version", checkpoint_schema_version},
                        {"tool_version", manifest.tool_version},
                        {"model_sha256", manifest.model_sha256},
                        {"text_sha256", manifest.text_sha256},
                        {"step", manifest.step},
                        {"seed", manifest.seed},
                        {"global_batch_sequences", manifest.global_batch},
                        {"sequence_tokens", manifest.sequence},
                        {"adam",
                         {{"learning_rate", manifest.adam.learning_rate},
                          {"beta1", manifest.adam.beta1},
                          {"beta2", manifest.adam.beta2},
                          {"epsilon", manifest.adam.epsilon}}},
                        {"files", files_json(manifest)},
                        {"tensors", tensors_json(manifest)}};
  const std::string digest = emulator::sha256(content.dump());
  return Json{{"checkpoint", content}, {"sha256", digest}}.dump(1) + "\n";
}

namespace {

Manifest manifest_from(const Json& content) {
  Manifest manifest;
  manifest.tool_version = content.at("tool_version").get<std::string>();
  manifest.model_sha256 = content.at("model_sha256").get<std::string>();
  manifest.text_sha256 = content.at("text_sha256").get<std::string>();
  manifest.step = content.at("step").get<std::int64_t>();
  manifest.seed = content.at("seed").get<std::uint64_t>();
  manifest.global_batch = content.at("global_batch_sequences").get<std::int64_t>();
  manifest.sequence = content.at("sequence_tokens").get<std::int64_t>();
  const Json& adam = content.at("adam");
  manifest.adam = {adam.at("learning_rate").get<double>(), adam.at("beta1").get<double>(),
                   adam.at("beta2").get<double>(), adam.at("epsilon").get<double>()};
  read_tensors(content, manifest);
  return manifest;
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text, const std::string& file) {
  const Place place{file, 0, 0};
  const std::string hint =
      "give another --checkpoint folder, or remove this manifest to go on "
      "from the one before";
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object() || !json.contains("checkpoint") ||
      !json.contains("sha256"))
    return failure(place, "is no manifest of a checkpoint, or was cut off", hint);
  const Json& content = json["checkpoint"];
  if (!json["sha256"].is_string() ||
      emulator::sha256(content.dump()) != json["sha256"].get<std::string>())
    return failure(place, "was changed: it is not what its sha256 says", hint);
  try {
    if (content.at("schema_version").get<int>() != checkpoint_schema_version)
      return failure(place, fmt::format("schema_version is not {}", checkpoint_schema_version),
                     "use the version of railwright-worker that wrote it");
    Manifest manifest = manifest_from(content);
    Errors errors;
    for (const auto& [key, tensor] : manifest.tensors)
      for (const Slice& slice : tensor.slices)
        if (const std::string why = why_not(slice, tensor, manifest); !why.empty())
          errors.push_back(
              {place, fmt::format("tensor '{}' ({}) has {}", key.first, key.second, why), hint});
    if (!errors.empty()) return tl::unexpected(errors);
    return manifest;
  } catch (const nlohmann::json::exception& error) {
    return failure(place, fmt::format("is no manifest of a checkpoint: {}", error.what()), hint);
  }
}

std::string manifest_name(std::int64_t step) { return fmt::format("step-{:08}.json", step); }

namespace {

// Of the checkpoint whose file it is ("step-00000100.rank-00003.ab12.bin"); -1: of none.
std::int64_t step_of_file(const std::string& name) {
  constexpr std::string_view before = "step-";
  if (!name.starts_with(before)) return -1;
  std::int64_t step = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + before.size(), end, step);
  return error == std::errc{} && stop != end && *stop == '.' ? step : -1;
}

// The names of its files, by step.
std::multimap<std::int64_t, std::string> files_of(const std::string& folder) {
  std::multimap<std::int64_t, std::string> files;
  std::error_code failed;
  fs::directory_iterator entry(folder, failed);
  for (; !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    const std::string name = entry->path().filename();
    if (const std::int64_t step = step_of_file(name); step >= 0) files.emplace(step, name);
  }
  return files;
}

bool is_manifest(const std::string& name) { return name.ends_with(".json"); }

}  // namespace

std::string latest_manifest(const std::string& folder) {
  std::string latest;
  for (const auto& [step, name] : files_of(folder))
    if (is_manifest(name)) latest = name;
  return latest;
}

void keep_newest(const std::string& folder, int count) {
  const auto files = files_of(folder);
  std::int64_t oldest = -1;  // that is kept
  for (auto file = files.rbegin(); file != files.rend() && count > 0; ++file)
    if (is_manifest(file->second)) {
      oldest = file->first;
      --count;
    }
  if (count > 0) return;
  std::error_code ignored;
  for (const bool manifests : {true, false})
    for (auto file = files.begin(); file != files.lower_bound(oldest); ++file)
      if (is_manifest(file->second) == manifests)
        fs::remove(fs::path(folder) / file->second, ignored);
}

}  // namespace railwright::worker::train
