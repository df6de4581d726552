#include "coordinator/service/request.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "coordinator/planner/no_points.hpp"
#include "coordinator/planner/search.hpp"
#include "coordinator/service/replan.hpp"
#include "coordinator/training.hpp"

namespace railwright::coordinator {

namespace {

constexpr std::int64_t most = std::int64_t{1} << 31;

// Takes values out of a document and keeps what is wrong with them.
class Reader {
 public:
  explicit Reader(const Json& document) : document_(document) {}

  void text(const char* key, std::string& value) {
    known_.insert(key);
    if (!document_.contains(key)) return;
    const Json& found = document_[key];
    if (!found.is_string()) return wrong(key, "is no text", "write it in quotes");
    value = found.get<std::string>();
    if (value.find('\0') != std::string::npos) wrong(key, "holds a NUL", "write plain text");
  }
  void number(const char* key, std::int64_t& value, std::int64_t low, std::int64_t high) {
    known_.insert(key);
    if (document_.contains(key)) {
      const Json& found = document_[key];
      if (!found.is_number_integer())
        return wrong(key, "is no whole number", "write it without quotes");
      value = found.get<std::int64_t>();
    }
    if (value < low || value > high)
      wrong(key, fmt::format("is {}", value), fmt::format("write {} to {}", low, high));
  }
  void flag(const char* key, bool& value) {
    known_.insert(key);
    if (!document_.contains(key)) return;
    if (!document_[key].is_boolean()) return wrong(key, "is no truth", "write true or false");
    value = document_[key].get<bool>();
  }
  void wrong(const std::string& key, const std::string& what, const std::string& hint) {
    errors_.push_back({{"request"}, fmt::format("'{}' {}", key, what), hint});
  }
  void take(const Errors& errors) { errors_.insert(errors_.end(), errors.begin(), errors.end()); }
  bool is_good() const { return errors_.empty(); }
  Errors end() {
    for (const auto& [key, value] : document_.items())
      if (!known_.contains(key)) wrong(key, "is not known", "leave it out");
    return errors_;
  }

 private:
  const Json& document_;
  std::set<std::string> known_;
  Errors errors_;
};

void read(Reader& reader, JobRequest& request) {
  reader.text("model", request.model);
  reader.text("model_text", request.model_text);
  reader.text("precision", request.precision);
  reader.text("fix", request.fix);
  reader.number("accelerators", request.accelerators, 1, most);
  reader.number("global_batch", request.global_batch, 1, most);
  reader.number("sequence", request.sequence, 1, most);
  reader.number("steps", request.steps, 1, 1'000'000);
  reader.number("least_accelerators", request.least_accelerators, 0, request.accelerators);
  reader.flag("emulated", request.emulated);
  reader.text("workload", request.workload);
  reader.text("text", request.text);
  reader.text("learning_rate", request.learning_rate);
  reader.number("seed", request.seed, 0, most);
  reader.number("checkpoint_every", request.checkpoint_every, 1, most);
  if (request.model_text.empty() && !is_name(request.model))
    reader.wrong("model", fmt::format("is '{}'", request.model),
                 "write a name of the catalogue, or send the file as model_text");
}

// What has to do with `--workload` alone; when it is submitted.
void check_training(Reader& reader, const JobRequest& request) {
  const bool train = request.workload == "train";
  if (!train && request.workload != "traffic")
    reader.wrong("workload", fmt::format("is '{}'", request.workload), "write train or traffic");
  if (!train && !request.text.empty())
    reader.wrong("text", "is learned by nobody", "add workload: train");
  if (!train) return;
  if (request.emulated)
    reader.wrong("emulated", "learns nothing", "leave it out, or take workload: traffic");
  if (!request.text.starts_with('/') || access(request.text.c_str(), R_OK) != 0)
    reader.wrong("text", fmt::format("cannot be read by the coordinator: '{}'", request.text),
                 "write the path, from the root, of a file that all nodes see");
  double rate = 0;
  const std::string& written = request.learning_rate;
  const auto [stop, error] = std::from_chars(written.data(), written.data() + written.size(), rate);
  const bool whole = error == std::errc{} && stop == written.data() + written.size();
  if (!written.empty() && !(whole && rate >= 0 && rate <= 10))
    reader.wrong("learning_rate", fmt::format("is '{}'", written), "write a number up to 10");
}

// What planning would find out later: a model, a precision or degrees that nobody knows, or degrees
// that do not go with the numbers.
void check_plan(Reader& reader, const JobRequest& request, const topology::Cluster& cluster) {
  if (!reader.is_good()) return;
  workload::Training training;
  const auto model = request.model_text.empty()
                         ? workload::load_model(request.model)
                         : workload::parse_model(request.model_text, request.model);
  const auto precision = parse_precision(request.precision);
  const auto fixed = parse_fixed(request.fix);
  if (!model) reader.take(model.error());
  if (!precision) reader.take({precision.error()});
  if (!fixed) reader.take({fixed.error()});
  if (!model || !precision || !fixed) return;
  training.model = *model;
  training.precision = *precision;
  training.global_batch = request.global_batch;
  training.sequence = request.sequence;
  if (points_of(training, request.accelerators, *fixed).empty())
    reader.take({why_no_points(training, request.accelerators, cluster.accelerators(), *fixed)});
}

int nodes_for(std::int64_t accelerators, const topology::Cluster& cluster) {
  const std::int64_t per_node = accelerators_per_node(cluster);
  return static_cast<int>(std::min<std::int64_t>((accelerators + per_node - 1) / per_node, most));
}

}  // namespace

bool is_name(const std::string& text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return !text.empty() && text.size() <= 64 && text[0] != '.' && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), fits);
}

Json to_json(const JobRequest& request) {
  return {{"model", request.model},
          {"model_text", request.model_text},
          {"precision", request.precision},
          {"fix", request.fix},
          {"accelerators", request.accelerators},
          {"global_batch", request.global_batch},
          {"sequence", request.sequence},
          {"steps", request.steps},
          {"least_accelerators", request.least_accelerators},
          {"emulated", request.emulated},
          {"workload", request.workload},
          {"text", request.text},
          {"learning_rate", request.learning_rate},
          {"seed", request.seed},
          {"checkpoint_every", request.checkpoint_every}};
}

std::int64_t accelerators_per_node(const topology::Cluster& cluster) {
  std::int64_t fewest = cluster.accelerators();
  for (int node = 0; node + 1 < cluster.nodes(); ++node)
    fewest = std::min<std::int64_t>(
        fewest, cluster.first_of_node(node + 1).index - cluster.first_of_node(node).index);
  return std::max<std::int64_t>(1, fewest);
}

Result<control::JobSpec> job_spec(const std::string& body, const std::string& owner,
                                  const topology::Cluster& cluster) {
  const Json document = Json::parse(body, nullptr, false);
  if (!document.is_object())
    return failure({}, "the request is no JSON object", "write {\"id\": \"my-job\", ...}");
  Reader reader(document);
  control::JobSpec spec;
  JobRequest request;
  std::int64_t retries = spec.retries;
  reader.text("id", spec.id);
  reader.number("retries", retries, 0, 1000);
  read(reader, request);
  check_training(reader, request);
  if (!is_name(spec.id))
    reader.wrong("id", fmt::format("is '{}'", spec.id),
                 "write up to 64 letters, digits, '.', '-' or '_'");
  if (request.accelerators > cluster.accelerators())
    reader.wrong("accelerators", fmt::format("is {}", request.accelerators),
                 fmt::format("cluster '{}' has {}", cluster.spec.name, cluster.accelerators()));
  check_plan(reader, request, cluster);
  if (Errors errors = reader.end(); !errors.empty()) return tl::unexpected(std::move(errors));
  spec.owner = owner;
  spec.retries = static_cast<int>(retries);
  spec.steps = request.steps;
  spec.nodes = nodes_for(request.accelerators, cluster);
  const std::int64_t least =
      request.least_accelerators == 0 ? request.accelerators : request.least_accelerators;
  spec.least_nodes = nodes_for(least, cluster);
  spec.request = to_json(request).dump();
  return spec;
}

JobRequest request_of(const control::JobSpec& spec) {
  const Json document = Json::parse(spec.request);
  Reader reader(document);
  JobRequest request;
  read(reader, request);
  return request;
}

std::vector<std::string> plan_arguments(const JobRequest& request, const Portion& portion,
                                        control::NodeRange nodes, const std::string& cluster_name,
                                        const std::string& model_path, const std::string& output) {
  std::vector<std::string> arguments = {
      "--model=" + (request.model_text.empty() ? request.model : model_path),
      "--cluster=" + cluster_name,
      fmt::format("--accelerators={}", portion.accelerators),
      fmt::format("--first-node={}", nodes.first),
      fmt::format("--global-batch={}", portion.global_batch),
      fmt::format("--sequence={}", request.sequence),
      "--precision=" + request.precision,
      "--output=" + output};
  if (!portion.fix.empty()) arguments.push_back("--fix=" + portion.fix);
  return arguments;
}

// Two seconds without a word from a worker are a loss, unless plan or run make more of it.
std::vector<std::string> run_arguments(const JobRequest& request, const std::string& checkpoints,
                                       const std::string& report) {
  if (request.emulated) return {};
  std::vector<std::string> arguments = {"--timeout=2"};
  if (request.workload != "train") {
    arguments.push_back("--report=" + report);
    return arguments;
  }
  for (const std::string& argument :
       {std::string("--workload=train"), "--text=" + request.text, "--checkpoint=" + checkpoints,
        fmt::format("--checkpoint-every={}", request.checkpoint_every), std::string("--keep=2"),
        fmt::format("--global-batch={}", request.global_batch),
        fmt::format("--seed={}", request.seed)})
    arguments.push_back(argument);
  if (!request.learning_rate.empty())
    arguments.push_back("--learning-rate=" + request.learning_rate);
  return arguments;
}

}  // namespace railwright::coordinator
