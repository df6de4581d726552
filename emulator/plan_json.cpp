// A plan as text, and that text on disk. docs/plan.md is the page of the format.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <nlohmann/json.hpp>

#include "emulator/plan.hpp"
#include "emulator/plan_words.hpp"
#include "topology/files/write_text_file.hpp"

namespace railwright::emulator {

namespace {

using Json = nlohmann::ordered_json;

Json json_of(const workload::Training& training) {
  return {{"global_batch_sequences", training.global_batch},
          {"sequence_tokens", training.sequence},
          {"precision", words::word_of(words::precisions, training.precision)}};
}

Json json_of(const workload::Degrees& degrees) {
  Json json = {{"tp", degrees.tp},
               {"pp", degrees.pp},
               {"vpp", degrees.vpp},
               {"cp", degrees.cp},
               {"ep", degrees.ep},
               {"dp", degrees.dp},
               {"zero_stage", degrees.zero_stage},
               {"sequence_parallel", degrees.sequence_parallel},
               {"micro_batch", degrees.micro_batch},
               {"recompute", words::word_of(words::recomputes, degrees.recompute)},
               {"schedule", words::word_of(words::pipelines, degrees.schedule)}};
  if (!degrees.overlap_gradients) json["overlap_gradients"] = false;
  if (degrees.shard > 0) json["shard"] = degrees.shard;
  if (degrees.etp > 1) json["etp"] = degrees.etp;
  if (degrees.context != workload::ContextExchange::ring)
    json["context"] = words::word_of(words::contexts, degrees.context);
  return json;
}

Json json_of(const Placement& placement) {
  Json order = Json::array();
  for (const auto dimension : placement.order)
    order.push_back(words::word_of(words::dimensions, dimension));
  Json exceptions = Json::array();
  for (const auto& entry : placement.exceptions)
    exceptions.push_back(Json::array({entry.rank, entry.accelerator}));
  Json json = {{"order", order}, {"strides", placement.strides}, {"exceptions", exceptions}};
  for (const Axis& axis : placement.axes)
    json["axes"].push_back({{"extent", axis.extent}, {"stride", axis.stride}});
  if (placement.first_accelerator > 0) json["first_accelerator"] = placement.first_accelerator;
  return json;
}

Json json_of(const ScheduleChoice& choice) {
  Json json = {{"group", words::word_of(words::groups, choice.group)},
               {"operation", words::word_of(words::operations, choice.operation)},
               {"low_bytes", choice.low.count}};
  if (choice.high != no_upper_size) json["high_bytes"] = choice.high.count;
  const collectives::Schedule& schedule = choice.schedule;
  json["algorithm"] = words::word_of(words::algorithms, schedule.algorithm);
  json["ranks"] = schedule.ranks;
  json["channels"] = schedule.channels;
  json["inner"] = schedule.inner;
  json["root"] = schedule.root;
  if (schedule.segments != 1) json["segments"] = schedule.segments;
  if (!schedule.dims.empty()) json["dims"] = schedule.dims;
  return json;
}

Json json_of(const Prediction& prediction) {
  Json blame = Json::array();
  for (const BlameEntry& entry : prediction.blame)
    blame.push_back({{"cause", entry.cause},
                     {"seconds", in_seconds(entry.time).value},
                     {"picoseconds", entry.time.count}});
  return {{"step_time_s", prediction.step_time.value},
          {"mfu", prediction.mfu},
          {"tokens_per_s_per_accelerator", prediction.tokens_per_s_per_accelerator},
          {"peak_memory_bytes", prediction.peak_memory.count},
          {"blame", blame}};
}

}  // namespace

std::string to_json(const Plan& plan) {
  const std::string cluster = topology::canonical_json(plan.cluster);
  const std::string model = workload::canonical_json(plan.training.model);
  Json json = {{"schema_version", plan_schema_version},
               {"tool_version", plan.tool_version},
               {"cluster_sha256", sha256(cluster)},
               {"model_sha256", sha256(model)},
               {"calibration_sha256", plan.calibration_sha256}};
  if (!plan.faults_sha256.empty()) json["faults_sha256"] = plan.faults_sha256;
  json["degrees"] = json_of(plan.degrees);
  json["training"] = json_of(plan.training);
  json["placement"] = json_of(plan.placement);
  json["schedules"] = Json::array();
  for (const ScheduleChoice& choice : plan.schedules) json["schedules"].push_back(json_of(choice));
  json["layers_per_stage"] = plan.layers_per_stage;
  if (plan.prediction != Prediction{}) json["prediction"] = json_of(plan.prediction);
  json["model"] = Json::parse(model);
  json["cluster"] = Json::parse(cluster);
  return json.dump(1) + "\n";
}

Result<void> save_plan(const Plan& plan, const std::string& path) {
  return topology::write_text_file(path, to_json(plan));
}

std::string sha256(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  assert(done == 1);
  std::string text;
  for (unsigned int i = 0; i < size && done == 1; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace railwright::emulator
