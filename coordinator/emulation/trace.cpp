// The trace event format of chrome://tracing and Perfetto ("Trace Event Format", Google, 2016),
// with the names that PyTorch's Kineto writes for kernels of NCCL
// (pytorch/torch/csrc/distributed/c10d/ ParamCommsUtils.hpp,
// torch/csrc/autograd/profiler_kineto.cpp).
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "coordinator/emulation/outputs.hpp"
#include "topology/version.hpp"

namespace railwright::coordinator {

using workload::Op;
using workload::Operation;
using workload::OpKind;

namespace {

constexpr std::size_t named_ranks = 30;  // of a group, as Kineto cuts them

// Microseconds, to the picosecond.
std::string micros(Picoseconds time) {
  return fmt::format("{}.{:06}", time.count / 1'000'000, time.count % 1'000'000);
}

// Readers add `ts` and `dur` as binary numbers. A sum that rounds to more than the end lies over
// the next slice of its track and breaks the nesting, so each slice ends a picosecond early.
std::string duration(Instant from, Instant to) {
  return micros({std::max<std::int64_t>(0, (to - from).count - 1)});
}

std::string quoted(const std::string& text) { return Json(text).dump(); }

struct Words {
  const char* kernel;      // in the name of NCCL's kernel
  const char* collective;  // "Collective name"
};

Words words_of(Operation operation) {
  switch (operation) {
    case Operation::all_reduce:
      return {"AllReduce_Sum", "allreduce"};
    case Operation::reduce_scatter:
      return {"ReduceScatter_Sum", "_reduce_scatter_base"};
    case Operation::all_gather:
      return {"AllGather", "_allgather_base"};
    case Operation::broadcast:
      return {"Broadcast", "broadcast"};
    case Operation::reduce:
      return {"Reduce_Sum", "reduce"};
    case Operation::all_to_all:
      return {"SendRecv", "all_to_allv"};
    case Operation::send:
      break;
  }
  return {"SendRecv", "send"};
}

struct Element {
  const char* kernel;  // "bf16"
  const char* dtype;   // "BFloat16"
  std::uint64_t bytes;
};

// Of an activation or a weight; fp8 recipes keep them in 16 bits on the way.
Element element_of(topology::Precision precision) {
  switch (precision) {
    case topology::Precision::fp32:
    case topology::Precision::tf32:
      return {"f32", "Float", 4};
    case topology::Precision::fp16:
      return {"f16", "Half", 2};
    case topology::Precision::bf16:
    case topology::Precision::fp8:
    case topology::Precision::fp4:
    case topology::Precision::mxfp8:
    case topology::Precision::nvfp4:
      break;
  }
  return {"bf16", "BFloat16", 2};
}

// Gradients and what belongs to the whole step are summed in fp32, the loss over a split vocabulary
// too; weights and activations move in the precision of the training.
bool moves_fp32(const Op& op, const emulator::Plan& plan) {
  const bool collective = op.kind == OpKind::collective;
  const bool sums = collective && (op.operation == Operation::all_reduce ||
                                   op.operation == Operation::reduce_scatter);
  if (op.stream == workload::Stream::data_comm) return sums;
  if (op.micro_batch < 0) return true;
  const workload::Degrees& degrees = plan.degrees;
  const auto tokens =
      static_cast<std::uint64_t>(degrees.micro_batch * plan.training.sequence / degrees.cp);
  return sums && op.group == workload::Dimension::tp && op.bytes.count == 4 * tokens;
}

class TraceWriter {
 public:
  explicit TraceWriter(const EmulationReport& report)
      : report_(report), plan_(report.inputs.plan), timeline_(report) {}

  std::string write() {
    for (const std::int64_t rank : timeline_.ranks()) name_rank(rank);
    add_counters();
    for (const emulator::Interval& interval : report_.step.timeline) add(timeline_.entry(interval));
    return head() + events_ + "\n]}\n";
  }

 private:
  std::string head() const {
    const auto ranks = timeline_.ranks();
    return fmt::format(
        "{{\"schemaVersion\":1,\"displayTimeUnit\":\"ns\","
        "\"distributedInfo\":{{\"backend\":\"nccl\",\"rank\":{},\"world_size\":{}}},"
        "\"otherData\":{{\"tool\":\"railwright {}\",\"emulated\":true,\"ranks_shown\":{},"
        "\"events\":{},\"events_left_out\":{}}},\n\"traceEvents\":[\n",
        ranks.empty() ? 0 : ranks.front(), plan_.degrees.world(), tool_version, ranks.size(),
        count_, left_out_);
  }

  void append(const std::string& event) {
    if (count_ >= most_events) {
      ++left_out_;
      return;
    }
    if (count_++ > 0) events_ += ",\n";
    events_ += event;
  }

  void metadata(std::int64_t process, int thread, const char* what, const std::string& value) {
    append(fmt::format("{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"{}\",\"args\":{{{}}}}}",
                       process, thread, what, value));
  }

  void name_rank(std::int64_t rank) {
    metadata(rank, 0, "process_name",
             "\"name\":" + quoted(fmt::format("rank {}, stage {}, {}", rank, timeline_.stage(rank),
                                              timeline_.accelerator(rank))));
    metadata(rank, 0, "process_sort_index", fmt::format("\"sort_index\":{}", rank));
    for (int stream = 0; stream < workload::stream_count; ++stream)
      metadata(rank, stream, "thread_name",
               "\"name\":" + quoted(fmt::format("stream {} {}", stream,
                                                name_of(static_cast<workload::Stream>(stream)))));
  }

  void complete(const Timeline::Entry& entry, const std::string& name, const char* category,
                Instant from, Instant to, const std::string& arguments) {
    append(
        fmt::format("{{\"ph\":\"X\",\"cat\":\"{}\",\"name\":{},\"pid\":{},\"tid\":{},"
                    "\"ts\":{},\"dur\":{},\"args\":{{{}}}}}",
                    category, quoted(name), entry.interval.rank, static_cast<int>(entry.op.stream),
                    micros(from - Instant{0}), duration(from, to), arguments));
  }

  // A kernel of NCCL runs from the call on; that it waits for its peers first lies inside it.
  void add(const Timeline::Entry& entry) {
    const Op& op = entry.op;
    std::string arguments = fmt::format("\"stream\":{},\"device\":{}", static_cast<int>(op.stream),
                                        entry.interval.rank);
    if (op.micro_batch >= 0)
      arguments += fmt::format(",\"micro_batch\":{},\"pass\":\"{}\"", op.micro_batch,
                               op.backward ? "backward" : "forward");
    std::string name = entry.name;
    if (op.kind != OpKind::compute) {
      name = kernel_name(op);
      arguments += communication(entry);
    }
    complete(entry, name, "kernel", entry.interval.ready, entry.interval.end, arguments);
    if (entry.interval.ready < entry.interval.start)
      complete(entry, "wait for peers", "wait", entry.interval.ready, entry.interval.start, "");
  }

  std::string kernel_name(const Op& op) const {
    if (op.kind != OpKind::collective) return "ncclDevKernel_SendRecv";
    std::string algorithm =
        to_string(schedule_of(plan_, op.group, op.operation, op.bytes).algorithm);
    std::ranges::transform(algorithm, algorithm.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return fmt::format("ncclDevKernel_{}_{}_{}", words_of(op.operation).kernel, element(op).kernel,
                       algorithm);
  }

  Element element(const Op& op) const {
    return element_of(moves_fp32(op, plan_) ? topology::Precision::fp32 : plan_.training.precision);
  }

  std::vector<std::int64_t> members(const Timeline::Entry& entry) const {
    const std::int64_t rank = entry.interval.rank;
    if (entry.op.kind == OpKind::collective)
      return group_of(entry.op.group, rank, plan_.degrees, plan_.placement.order);
    return group_of(workload::Dimension::pp, rank, plan_.degrees, plan_.placement.order);
  }

  std::string communication(const Timeline::Entry& entry) const {
    const Op& op = entry.op;
    const auto ranks = members(entry);
    const Element element = this->element(op);
    const std::uint64_t elements = op.bytes.count / element.bytes;
    const std::uint64_t part = elements / std::max<std::size_t>(1, ranks.size());
    const bool collective = op.kind == OpKind::collective;
    const bool gathers = collective && op.operation == Operation::all_gather;
    const bool scatters = collective && op.operation == Operation::reduce_scatter;
    const char* word = collective                   ? words_of(op.operation).collective
                       : op.kind == OpKind::receive ? "recv"
                                                    : "send";
    std::string names;
    for (std::size_t i = 0; i < std::min(named_ranks, ranks.size()); ++i)
      names += fmt::format("{}{}", i > 0 ? ", " : "", ranks[i]);
    if (ranks.size() > named_ranks) names += ", ...";
    return fmt::format(
        ",\"Collective name\":\"{}\",\"dtype\":\"{}\",\"In msg nelems\":{},"
        "\"Out msg nelems\":{},\"Group size\":{},\"Process Group Name\":\"{}\","
        "\"Process Group Description\":\"{}\",\"Process Group Ranks\":\"[{}]\"",
        word, element.dtype, gathers ? part : elements, scatters ? part : elements, ranks.size(),
        group_name(op, ranks.front()), collective ? to_string(op.group) : "pp", names);
  }

  static std::string group_name(const Op& op, std::int64_t first) {
    const std::string dimension =
        op.kind == OpKind::collective ? to_string(op.group) : std::string("pp");
    return fmt::format("{}_{}", dimension, first);
  }

  // One more process holds the counters of the links.
  void add_counters() {
    const auto process = plan_.degrees.world();
    const topology::Graph& graph = report_.inputs.cluster.graph;
    if (!report_.step.courses.empty()) metadata(process, 0, "process_name", "\"name\":\"links\"");
    for (const emulator::LinkCourse& course : report_.step.courses) {
      const auto spans = static_cast<std::int64_t>(course.utilization.size());
      for (std::int64_t i = 0; i < spans; ++i)
        append(
            fmt::format("{{\"ph\":\"C\",\"pid\":{},\"tid\":0,\"name\":{},\"ts\":{},"
                        "\"args\":{{\"utilization\":{:.6g}}}}}",
                        process, quoted(graph.name_of(course.link)),
                        micros({report_.step.step_time.count / spans * i}),
                        course.utilization[static_cast<std::size_t>(i)]));
    }
  }

  const EmulationReport& report_;
  const emulator::Plan& plan_;
  Timeline timeline_;
  std::string events_;
  std::size_t count_ = 0, left_out_ = 0;
};

}  // namespace

std::string trace_json(const EmulationReport& report) { return TraceWriter(report).write(); }

}  // namespace railwright::coordinator
