#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "worker/run/run.hpp"

namespace railwright::worker {
namespace {

using workload::Op;
using workload::OpKind;
using Clock = std::chrono::steady_clock;

Clock::duration duration_of(Seconds time) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time.value));
}

// Time since the start of a step, without the pauses in which inputs are made and results checked.
class StepClock {
 public:
  Seconds now() const {
    return {std::chrono::duration<double>(Clock::now() - start_ - paused_).count()};
  }
  void sleep_until(Seconds moment) const {
    const Seconds left = moment - now();
    if (left.value > 0) std::this_thread::sleep_for(duration_of(left));
  }
  template <class Work>
  void pause_for(Work work) {
    const Clock::time_point before = Clock::now();
    work();
    paused_ += Clock::now() - before;
  }

 private:
  Clock::time_point start_ = Clock::now();
  Clock::duration paused_{};
};

struct Demand {
  std::uint64_t collective = 0, sent = 0;  // bytes; received messages land where collectives do
};

Demand demand_of(const Part& part) {
  Demand demand;
  for (const Kind& kind : part.kinds)
    demand.collective = std::max(demand.collective, buffer_bytes(kind.schedule, kind.size).count);
  for (const Op& op : part.program.ops) {
    if (op.kind == OpKind::send) demand.sent = std::max(demand.sent, op.bytes.count);
    if (op.kind == OpKind::receive) demand.collective = std::max(demand.collective, op.bytes.count);
  }
  return demand;
}

}  // namespace

// Each begins on a page of its own.
Bytes buffer_demand(const Part& part) {
  const Demand demand = demand_of(part);
  return Bytes{demand.collective + demand.sent} + kibibytes(8);
}

struct Walker::State {
  const World& world;
  const Part& part;
  Transport& transport;
  Backend& backend;
  EdgeLog* edges;
  SharedClock shared_clock;
  Seconds timeout;
  Reducer reducer;
  Group everybody;
  Record record;
  std::span<std::byte> buffer;
  std::span<std::byte> outgoing;  // of pipeline sends; only read, so they share it
  std::vector<Request> sendings;
  // The how-manieth collective of its dimension an op is: members of a group agree on that, even
  // where their stages' programs differ.
  std::vector<std::uint64_t> ordinal_of_op;
  std::map<workload::Dimension, std::uint64_t> count_of_dimension;
  std::uint64_t steps_done = 0;
  StepClock clock;
  std::vector<Seconds> ends;
  std::array<Seconds, workload::stream_count> stream_end{};

  void prepare();
  // Ranks need not be ready for the first step at the same time.
  Transport::Deadline deadline() const {
    return Clock::now() + duration_of(steps_done == 0 ? std::max(timeout, seconds(10)) : timeout);
  }
  void require(const WaitResult& result) const {
    if (result.state == WaitState::done) return;
    const Seconds grace = std::min(seconds(5), Seconds{timeout.value / 4});
    const auto until = Clock::now() + duration_of(grace);
    give_up(world, silent_rank(transport, result, until), timeout);
  }
  Seconds ready(const Op& op) const;
  void perform(int index);
  bool is_checked(int index) const;
  void collective(int index);
  void send(int index);
  void receive(int index);
  void reap_sends();
  void finish_sends();
  void idle_until(Seconds moment);
};

void Walker::State::prepare() {
  for (const Op& op : part.program.ops)
    ordinal_of_op.push_back(op.kind == OpKind::collective ? count_of_dimension[op.group]++ : 0);
  const Seconds predicted = part.plan.prediction.step_time;
  record.step_duration = telemetry::Histogram::around(predicted);
  // A rank may rightly be late by as long as the stages before it compute.
  timeout = std::max(timeout, 3 * predicted);
  for (const Kind& kind : part.kinds)
    record.kinds.push_back({0, {}, {}, telemetry::Histogram::around(kind.expected)});
  for (int rank = 0; rank < world.size; ++rank) everybody.ranks.push_back(rank);
  everybody.index = world.rank;
  everybody.dimension = workload::Dimension{workload::dimension_count};  // tags of no plan's group
}

Seconds Walker::State::ready(const Op& op) const {
  Seconds moment = stream_end[static_cast<std::size_t>(op.stream)];
  for (const int before : op.after) moment = std::max(moment, ends[before]);
  return moment;
}

// All of the first step, then one per dimension and step: what checking costs stays bounded.
bool Walker::State::is_checked(int index) const {
  const std::uint64_t count = count_of_dimension.at(part.program.ops[index].group);
  return steps_done == 0 || ordinal_of_op[index] == steps_done * 7919 % count;
}

void Walker::State::collective(int index) {
  const Kind& kind = part.kinds[part.kind_of_op[index]];
  KindRecord& seen = record.kinds[part.kind_of_op[index]];
  const std::size_t size = buffer_bytes(kind.schedule, kind.size).count;
  const auto data = std::span(buffer).first(size);
  const bool checked = is_checked(index);
  const int members = static_cast<int>(kind.group.ranks.size());
  const std::uint64_t seed = (steps_done << 32) + ordinal_of_op[index] * 8 +
                             static_cast<std::uint64_t>(kind.group.dimension);
  std::optional<ExactInputs> inputs;
  if (checked)
    clock.pause_for([&] {
      inputs.emplace(seed, members, part.type);
      fill_inputs(kind.schedule, kind.group.index, *inputs, part.type, data);
      require(backend.send_there(data));
    });
  const Seconds start = clock.now();
  require(arrive(transport, kind.group, deadline()));
  const Seconds wait = clock.now() - start;
  const Execution execution = backend.execute(kind.schedule, kind.group, data, reducer, deadline());
  require({execution.state, execution.peer});
  ++seen.calls;
  seen.time += execution.time;
  seen.wait += wait;
  seen.duration.observe(execution.time);
  record.wait += wait;
  if (checked)
    clock.pause_for([&] {
      ++record.checked;
      require(backend.fetch(data));
      record.wrong += count_wrong(kind.schedule, kind.group.index, *inputs, part.type, data);
    });
}

// The message leaves while the program goes on.
void Walker::State::send(int index) {
  const Op& op = part.program.ops[index];
  reap_sends();
  const int peer = part.peer_of_op[index], tag = pipeline_tags + op.backward;
  if (edges != nullptr) edges->sent(peer, tag, op.bytes.count);
  sendings.push_back(transport.post_send(peer, tag, std::span(outgoing).first(op.bytes.count)));
}

void Walker::State::receive(int index) {
  const Op& op = part.program.ops[index];
  const Seconds start = clock.now();
  const int peer = part.peer_of_op[index], tag = pipeline_tags + op.backward;
  EdgeLog::Ticket ticket;
  if (edges != nullptr) ticket = edges->expected(peer, tag, op.bytes.count);
  const Request request =
      transport.post_receive(peer, tag, std::span(buffer).first(op.bytes.count));
  require(transport.wait(request, deadline()));
  if (edges != nullptr) edges->arrived(ticket);
  record.wait += clock.now() - start;
}

void Walker::State::reap_sends() {
  std::erase_if(sendings, [&](Request sending) {
    const WaitResult result = transport.test(sending);
    if (result.state == WaitState::pending) return false;
    require(result);
    return true;
  });
}

void Walker::State::finish_sends() {
  for (const Request sending : sendings) require(transport.wait(sending, deadline()));
  sendings.clear();
}

// Large messages move only while somebody looks at them, so a rank with sends under way sleeps in
// short naps.
void Walker::State::idle_until(Seconds moment) {
  constexpr Seconds nap = microseconds(200);
  while (!sendings.empty() && clock.now() < moment) {
    clock.sleep_until(std::min(moment, clock.now() + nap));
    reap_sends();
  }
  clock.sleep_until(moment);
}

void Walker::State::perform(int index) {
  const Op& op = part.program.ops[index];
  const Seconds moment = ready(op);
  Seconds end = moment + part.time_of_op[index];
  if (op.kind != OpKind::compute) {
    idle_until(moment);
    if (op.kind == OpKind::collective) collective(index);
    if (op.kind == OpKind::send) send(index);
    if (op.kind == OpKind::receive) receive(index);
    end = clock.now();
  }
  ends[index] = end;
  stream_end[static_cast<std::size_t>(op.stream)] = end;
}

Walker::Walker(const World& world, const Part& part, Engine& engine, Seconds timeout)
    : state_(new State{world,
                       part,
                       engine.transport(),
                       engine.backend(),
                       engine.edges(),
                       SharedClock(world.first_of),
                       timeout,
                       Reducer(part.type, ReduceOp::sum),
                       {},
                       {},
                       engine.allocate(demand_of(part).collective),
                       engine.allocate(demand_of(part).sent),
                       {},
                       {},
                       {},
                       0,
                       {},
                       {},
                       {}}) {
  state_->prepare();
  state_->backend.keep(state_->buffer);
  state_->require(state_->backend.prepare(part.prospects, state_->deadline()));
  if (state_->edges != nullptr)
    state_->require(state_->shared_clock.compare(state_->transport, state_->deadline()));
}
Walker::~Walker() = default;

void Walker::step() {
  State& state = *state_;
  state.require(arrive(state.transport, state.everybody, state.deadline()));
  state.clock = StepClock();
  state.ends.assign(state.part.program.ops.size(), {});
  state.stream_end.fill({});
  for (int index = 0; index < static_cast<int>(state.part.program.ops.size()); ++index)
    state.perform(index);
  state.finish_sends();
  for (const Seconds end : state.stream_end) state.clock.sleep_until(end);
  Seconds time = state.clock.now();
  state.require(agree_on_slowest(state.transport, state.everybody, state.deadline(), time));
  state.record.steps.push_back(time);
  state.record.step_duration.observe(time);
  ++state.steps_done;
}

void Walker::measure_edges() {
  State& state = *state_;
  if (state.edges == nullptr) return;
  state.require(state.shared_clock.compare(state.transport, state.deadline()));
  state.require(state.edges->settle(state.transport, state.shared_clock, state.deadline()));
  state.record.edges = state.edges->totals();
}

const Record& Walker::record() const { return state_->record; }

}  // namespace railwright::worker
