// The ready models: examples/models/*.json, compiled into the library.
#include <algorithm>
#include <filesystem>

#include "topology/document.hpp"
#include "topology/embedded.hpp"
#include "workload/model.hpp"

namespace railwright::workload {

namespace {

topology::ReadyFile ready_file(const EmbeddedFile& file) {
  auto document = topology::Document::parse(file.text, std::string(file.name));
  auto extra = document.root().fields().find("x_railwright");
  const std::string description =
      extra.present() ? extra.fields().find("description").text() : std::string();
  return {std::filesystem::path(file.name).stem().string(), description, std::string(file.text)};
}

Result<Model> parse_ready(const topology::ReadyFile& ready) {
  return parse_model(ready.text, ready.name + ".json");
}

Result<Model> not_found(const std::string& wanted) {
  std::vector<std::string> names;
  std::string all;
  for (const topology::ReadyFile& ready : ready_models()) {
    names.push_back(ready.name);
    all += (all.empty() ? "" : ", ") + ready.name;
  }
  const std::string near = topology::closest_hint(wanted, names);
  return failure({}, "no file and no ready model '" + wanted + "'",
                 near.empty() ? "ready are " + all : near);
}

}  // namespace

const std::vector<topology::ReadyFile>& ready_models() {
  static const std::vector<topology::ReadyFile> models = [] {
    std::vector<topology::ReadyFile> found;
    for (const EmbeddedFile& file : embedded_models()) found.push_back(ready_file(file));
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return found;
  }();
  return models;
}

Result<Model> load_model(const std::string& name_or_path) {
  for (const topology::ReadyFile& ready : ready_models())
    if (ready.name == name_or_path) return parse_ready(ready);
  std::error_code ignored;
  std::filesystem::path path(name_or_path);
  const bool folder = std::filesystem::is_directory(path, ignored);
  if (folder) path /= "config.json";
  if (folder && !std::filesystem::exists(path, ignored))
    return failure({name_or_path}, "this folder has no config.json",
                   "give the file, or the folder that was downloaded with it");
  if (!std::filesystem::exists(path, ignored)) return not_found(name_or_path);
  const Result<std::string> text = topology::read_text_file(path.string());
  if (!text) return tl::unexpected<Errors>(text.error());
  return parse_model(*text, path.string());
}

}  // namespace railwright::workload
