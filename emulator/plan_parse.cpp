// plan.json to a plan: every key is read once, then the rules between the keys are checked.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "emulator/plan.hpp"
#include "emulator/plan_words.hpp"
#include "topology/document.hpp"

namespace railwright::emulator {

namespace {

using topology::Cursor;
using topology::Document;
using topology::Fields;

constexpr int most = 1 << 30;  // of any degree, rank or size in elements
// Of sequences per step, of tokens per sequence: their product is still a count.
constexpr std::int64_t longest = std::int64_t{1} << 31;
// NCCL has 64; a million would take the emulator hours.
constexpr int most_channels = 1024;
constexpr int most_segments = 1 << 20;

template <class T, std::size_t n>
T word(const Cursor& cursor, const words::Words<T, n>& choices) {
  return cursor.choice(topology::Choices<T>(choices), choices.front().second);
}

int whole(Fields& fields, std::string_view key, int low, int high = most) {
  return static_cast<int>(fields.require(key).integer(low, high, low));
}

workload::Degrees read_degrees(Fields fields) {
  workload::Degrees degrees;
  degrees.tp = whole(fields, "tp", 1);
  degrees.pp = whole(fields, "pp", 1);
  degrees.vpp = whole(fields, "vpp", 1);
  degrees.cp = whole(fields, "cp", 1);
  degrees.ep = whole(fields, "ep", 1);
  degrees.dp = whole(fields, "dp", 1);
  degrees.zero_stage = whole(fields, "zero_stage", 0, 3);
  degrees.sequence_parallel = fields.require("sequence_parallel").boolean();
  degrees.micro_batch = whole(fields, "micro_batch", 1);
  degrees.recompute = word(fields.require("recompute"), words::recomputes);
  degrees.schedule = word(fields.require("schedule"), words::pipelines);
  degrees.overlap_gradients = fields.find("overlap_gradients").boolean(true);
  degrees.shard = static_cast<int>(fields.find("shard").integer(1, most, 0));
  degrees.etp = static_cast<int>(fields.find("etp").integer(1, most, 1));
  if (fields.has("context")) degrees.context = word(fields.find("context"), words::contexts);
  fields.finish();
  return degrees;
}

void read_training(Fields fields, workload::Training& training) {
  training.global_batch = fields.require("global_batch_sequences").integer(1, longest, 1);
  training.sequence = fields.require("sequence_tokens").integer(1, longest, 1);
  training.precision = word(fields.require("precision"), words::precisions);
  fields.finish();
}

Placement read_placement(Fields fields) {
  Placement placement;
  const Cursor order = fields.require("order");
  const Cursor strides = fields.require("strides");
  const auto order_items = order.items();
  const auto stride_items = strides.items();
  const std::size_t n = placement.order.size();
  if (order_items.size() != n || stride_items.size() != n) {
    order.error(fmt::format("order and strides need {} entries each", n));
  } else {
    for (std::size_t i = 0; i < n; ++i) {
      placement.order[i] = word(order_items[i], words::dimensions);
      placement.strides[i] = stride_items[i].integer(0, most);
    }
    auto sorted = placement.order;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
      order.error("a dimension stands here twice", "write each of tp, cp, ep, dp, pp once");
  }
  for (const Cursor& item : fields.require("exceptions").items()) {
    const auto pair = item.integers(0, most);
    if (pair.size() != 2) {
      item.error("not a pair of a rank and its accelerator");
      continue;
    }
    if (!placement.exceptions.empty() && pair[0] <= placement.exceptions.back().rank)
      item.error("ranks of exceptions must ascend");
    placement.exceptions.push_back({pair[0], pair[1]});
  }
  placement.first_accelerator = fields.find("first_accelerator").integer(0, most, 0);
  for (const Cursor& item : fields.find("axes").items()) {
    Fields axis = item.fields();
    placement.axes.push_back(
        {axis.require("extent").integer(1, most), axis.require("stride").integer(1, most)});
    axis.finish();
  }
  fields.finish();
  return placement;
}

ScheduleChoice read_choice(const Cursor& cursor) {
  Fields fields = cursor.fields();
  ScheduleChoice choice;
  choice.group = word(fields.require("group"), words::groups);
  choice.operation = word(fields.require("operation"), words::operations);
  choice.low.count = fields.require("low_bytes").whole();
  choice.high.count = fields.find("high_bytes").whole(UINT64_MAX, no_upper_size.count);
  collectives::Schedule& schedule = choice.schedule;
  schedule.operation = choice.operation;
  schedule.algorithm = word(fields.require("algorithm"), words::algorithms);
  schedule.ranks = whole(fields, "ranks", 1);
  schedule.channels = whole(fields, "channels", 1, most_channels);
  schedule.inner = whole(fields, "inner", 1);
  schedule.root = whole(fields, "root", 0);
  schedule.segments = static_cast<int>(fields.find("segments").integer(1, most_segments, 1));
  schedule.dims = fields.find("dims").integers(1, most);
  fields.finish();
  if (choice.low >= choice.high) cursor.error("low_bytes is not below high_bytes");
  return choice;
}

Prediction read_prediction(Fields fields) {
  Prediction prediction;
  prediction.step_time = {fields.require("step_time_s").number(0, 1e15)};
  prediction.mfu = fields.require("mfu").number(0, 1e15);
  prediction.tokens_per_s_per_accelerator =
      fields.require("tokens_per_s_per_accelerator").number(0, 1e15);
  prediction.peak_memory = {fields.require("peak_memory_bytes").whole()};
  for (const Cursor& item : fields.require("blame").items()) {
    Fields entry = item.fields();
    const std::string cause = entry.require("cause").text();
    entry.require("seconds").number(0, 1e15);  // for people; the picoseconds are exact
    const std::int64_t picoseconds = entry.require("picoseconds").integer(0, INT64_MAX);
    entry.finish();
    prediction.blame.push_back({cause, {picoseconds}});
  }
  fields.finish();
  return prediction;
}

// The embedded cluster or model in its own reader; its errors get the place inside the plan.
template <class T, class Parse, class Canonical>
T read_embedded(Fields& fields, const std::string& part, const nlohmann::ordered_json& json,
                const std::string& file, Parse parse, Canonical canonical) {
  const Cursor cursor = fields.require(part);
  const Cursor digest = fields.require(part + "_sha256");
  const std::string expected = digest.text();
  if (!cursor.is_map()) {
    if (cursor.present()) cursor.error("not a map");
    return {};
  }
  Result<T> read = parse(json.at(part).dump(), file);
  if (!read) {
    for (const ConfigError& error : read.error()) cursor.error(error.message, error.hint);
    return {};
  }
  if (sha256(canonical(*read)) != expected)
    digest.error(
        fmt::format("the {} is not the one that the plan was made for: its SHA-256 differs", part),
        "make the plan again instead of editing it");
  return *read;
}

std::int64_t accelerators_of(const topology::ClusterSpec& cluster) {
  std::int64_t sum = 0;
  for (const auto& group : cluster.nodes) sum += std::int64_t{group.count} * group.accelerators;
  return sum;
}

bool world_exceeds(const workload::Degrees& degrees, std::int64_t accelerators) {
  std::int64_t world = 1;
  for (const int degree : {degrees.tp, degrees.cp, degrees.dp, degrees.pp}) {
    world *= degree;  // both factors below 2^31
    if (world > accelerators) return true;
  }
  return false;
}

constexpr std::size_t most_axes = 8;  // of any torus

std::int64_t farthest(const Plan& plan) {
  std::int64_t sum = plan.placement.first_accelerator;
  for (std::size_t i = 0; i < plan.placement.order.size(); ++i)
    sum += (extent_of(plan.degrees, plan.placement.order[i]) - 1) * plan.placement.strides[i];
  return sum;
}

void check_placement(const Plan& plan, const Cursor& at) {
  if (!has_groups(plan.degrees, plan.placement.order))
    return at.error("order: cp and dp must be neighbours, and tp beside them with experts");
  const std::int64_t accelerators = accelerators_of(plan.cluster);
  if (farthest(plan) >= most) return at.error("the strides reach beyond every cluster");
  const auto& axes = plan.placement.axes;
  const bool too_long = std::ranges::any_of(axes, [&](const Axis& axis) {
    return axis.extent > accelerators || axis.stride > accelerators;
  });
  std::int64_t places = 1;  // counted up to one more than there are
  for (const Axis& axis : axes) places = std::min(places * axis.extent, accelerators + 1);
  const std::int64_t last = farthest(plan) - plan.placement.first_accelerator;
  const bool too_many = !axes.empty() && (places > accelerators || last >= places);
  if (axes.size() > most_axes || too_long || too_many)
    return at.error("the axes reach beyond the cluster");
  const auto& exceptions = plan.placement.exceptions;  // ascending
  if (!exceptions.empty() && exceptions.back().rank >= plan.degrees.world())
    return at.error(fmt::format("exceptions: rank {} does not exist: the plan has {}",
                                exceptions.back().rank, plan.degrees.world()));
  std::vector<bool> taken(static_cast<std::size_t>(accelerators));
  for (std::int64_t rank = 0; rank < plan.degrees.world(); ++rank) {
    const int index = accelerator_of(rank, plan.placement, plan.degrees).index;
    if (index < 0 || index >= accelerators)
      return at.error(fmt::format("rank {} is on accelerator {} of {}", rank, index, accelerators));
    if (taken[static_cast<std::size_t>(index)])
      return at.error(fmt::format("two ranks are on accelerator {}", index));
    taken[static_cast<std::size_t>(index)] = true;
  }
}

void check_stages(const Plan& plan, const Cursor& at) {
  if (plan.layers_per_stage.size() != static_cast<std::size_t>(plan.degrees.pp))
    return at.error(
        fmt::format("{} stages, but pp is {}", plan.layers_per_stage.size(), plan.degrees.pp));
  for (int stage = 0; stage < plan.degrees.pp; ++stage) {
    const std::int64_t wanted = stage_layers(plan.training.model, plan.degrees, stage);
    if (plan.layers_per_stage[static_cast<std::size_t>(stage)] != wanted)
      return at.error(fmt::format("stage {} must have {} layers", stage, wanted),
                      "interleaved stages have equally many layers");
  }
}

void check_schedules(const Plan& plan, const Cursor& at) {
  for (const ScheduleChoice& choice : plan.schedules) {
    const std::string reason = why_not(choice.schedule);
    if (!reason.empty()) return at.error(reason);
    const int degree = degree_of(plan.degrees, choice.group);
    if (choice.schedule.ranks != degree)
      return at.error(fmt::format("a {} group has {} ranks, the schedule {}",
                                  to_string(choice.group), degree, choice.schedule.ranks));
  }
}

// Layers that were not split as evenly as it goes are the degrees' own.
void take_layers(Plan& plan) {
  const auto splits_so = [&](int stage) {
    return stage_layers(plan.training.model, plan.degrees, stage) ==
           plan.layers_per_stage[static_cast<std::size_t>(stage)];
  };
  if (plan.degrees.vpp > 1) return;
  bool even = plan.layers_per_stage.size() == static_cast<std::size_t>(plan.degrees.pp);
  for (int stage = 0; even && stage < plan.degrees.pp; ++stage) even = splits_so(stage);
  if (!even) plan.degrees.layers = plan.layers_per_stage;
}

// What no single key can say; asked only when every key was good by itself.
void check_together(const Plan& plan, Fields& fields) {
  const Cursor degrees = fields.find("degrees");
  for (const std::string& rule : violations(plan.training, plan.degrees)) degrees.error(rule);
  if (world_exceeds(plan.degrees, accelerators_of(plan.cluster)))
    return degrees.error(fmt::format("more ranks than the {} accelerators of the cluster",
                                     accelerators_of(plan.cluster)));
  check_placement(plan, fields.find("placement"));
  check_stages(plan, fields.find("layers_per_stage"));
  check_schedules(plan, fields.find("schedules"));
}

void read_parts(Plan& plan, Fields& fields, const nlohmann::ordered_json& json,
                const std::string& file) {
  plan.tool_version = fields.require("tool_version").text();
  plan.calibration_sha256 = fields.require("calibration_sha256").text();
  plan.faults_sha256 = fields.find("faults_sha256").text();
  plan.degrees = read_degrees(fields.require("degrees").fields());
  read_training(fields.require("training").fields(), plan.training);
  plan.placement = read_placement(fields.require("placement").fields());
  for (const Cursor& item : fields.require("schedules").items())
    plan.schedules.push_back(read_choice(item));
  for (const Cursor& item : fields.require("layers_per_stage").items())
    plan.layers_per_stage.push_back(item.integer(1, most));
  if (fields.has("prediction"))
    plan.prediction = read_prediction(fields.find("prediction").fields());
  plan.training.model = read_embedded<workload::Model>(
      fields, "model", json, file, workload::parse_model,
      static_cast<std::string (*)(const workload::Model&)>(workload::canonical_json));
  plan.cluster = read_embedded<topology::ClusterSpec>(
      fields, "cluster", json, file, topology::parse_cluster,
      static_cast<std::string (*)(const topology::ClusterSpec&)>(topology::canonical_json));
}

}  // namespace

Result<Plan> parse_plan(std::string_view text, const std::string& file) {
  Document document = Document::parse(text, file);
  if (!document.ok()) return tl::unexpected<Errors>(document.errors());
  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return failure({file}, "a plan is a JSON document; this is none");
  if (!document.root().is_map()) return failure({file}, "a plan is a JSON object; this is none");
  Fields fields = document.root().fields();
  const Cursor version = fields.require("schema_version");
  if (version.integer(1, most, plan_schema_version) != plan_schema_version)
    version.error(fmt::format("this program reads version {}", plan_schema_version),
                  "make the plan again with this version of railwright");
  Plan plan;
  if (document.ok()) read_parts(plan, fields, json, file);
  if (document.ok()) take_layers(plan);
  if (document.ok()) check_together(plan, fields);
  if (document.ok()) fields.finish();
  return document.result(std::move(plan));
}

Result<Plan> load_plan(const std::string& path) {
  const Result<std::string> text = topology::read_text_file(path);
  if (!text) return tl::unexpected<Errors>(text.error());
  return parse_plan(*text, path);
}

}  // namespace railwright::emulator
