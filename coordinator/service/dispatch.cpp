#include "coordinator/service/dispatch.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <utility>

#include "coordinator/service/files.hpp"
#include "emulator/plan.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

using Clock = std::chrono::steady_clock;

// Two draws of 64 bits from the system: enough for names that nobody guesses.
std::string random_name() {
  std::random_device device;
  std::string name;
  for (int i = 0; i < 4; ++i) name += fmt::format("{:08x}", device());
  return name;
}

std::vector<Job> stored(const Store& store) { return store.jobs(); }

}  // namespace

Dispatch::Dispatch(DispatchSettings settings, topology::Cluster cluster, Store store)
    : settings_(std::move(settings)),
      cluster_(std::make_unique<topology::Cluster>(std::move(cluster))),
      store_(std::make_unique<Store>(std::move(store))),
      steady_start_(Clock::now()),
      wall_start_{std::chrono::duration_cast<std::chrono::milliseconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count()} {
  Settings of_control;
  of_control.nodes = cluster_->nodes();
  of_control.lease_ms = settings_.lease_ms;
  control_ = std::make_unique<Control>(of_control, stored(*store_), store_->nodes());
}

Result<Dispatch> Dispatch::open(DispatchSettings settings, topology::Cluster cluster) {
  std::error_code failed;
  std::filesystem::create_directories(settings.data + "/jobs", failed);
  if (failed)
    return failure({settings.data}, "cannot be made: " + failed.message(),
                   "give a --data folder that can be written");
  chmod(settings.data.c_str(), 0700);
  auto store = Store::open(settings.data + "/coordinator.db");
  if (!store) return tl::unexpected(store.error());
  return Dispatch(std::move(settings), std::move(cluster), std::move(*store));
}

// The wall clock says only when we started: leases must not end because somebody sets it.
Moment Dispatch::now() const {
  return wall_start_ +
         std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - steady_start_)
             .count();
}

std::string Dispatch::folder_of(const std::string& id) const {
  return settings_.data + "/jobs/" + id;
}

std::string Dispatch::file_of(const std::string& id, const char* what, int epoch,
                              const char* ending) const {
  return fmt::format("{}/{}.{}{}", folder_of(id), what, epoch, ending);
}

bool Dispatch::is_token_of(const std::string& id, int epoch, const std::string& token) const {
  const auto known = read_file(file_of(id, "token", epoch, ""));
  return known && !known->empty() && same_secret(*known, token);
}

Result<void> Dispatch::start() {
  adopt();
  if (auto started = perform(control_->start(now())); !started) return started;
  return recall_ends();  // what has ended need not be waited for
}

// Leaders that an earlier coordinator started: whether they live is seen without waiting for their
// leases to end. What one left behind is not ours to kill, but waited for.
void Dispatch::adopt() {
  for (const auto& [id, job] : control_->jobs()) {
    if (job.state != State::running) continue;
    const auto process = read_identity(file_of(id, "leader", job.epoch, ".json"));
    if (process && process->first == job.leader)
      children_[process->second.pid] = {
          .id = id, .epoch = job.epoch, .name = job.leader, .adopted = process->second};
  }
}

Result<void> Dispatch::recall_ends() {
  std::vector<Event> ends;
  for (const auto& [id, job] : control_->jobs())
    if (job.state == State::running)
      if (const auto end = read_end(file_of(id, "end", job.epoch, ".json"))) ends.push_back(*end);
  for (const Event& end : ends)
    if (auto heard = hear(std::get<Ended>(end)); !heard) return tl::unexpected(heard.error());
  return {};
}

Result<void> Dispatch::tick() {
  if (auto reaped = reap(); !reaped) return reaped;
  return on(Tick{});
}

Result<Reply> Dispatch::submit(const JobSpec& spec) {
  const std::uint64_t tag = next_tag_++;
  const auto known = control_->jobs().find(spec.id);
  JobSpec asked = spec;
  // What an earlier version wrote in other words is the same request.
  if (known != control_->jobs().end() &&
      to_json(request_of(known->second.spec)) == to_json(request_of(spec)))
    asked.request = known->second.spec.request;
  if (auto done = on(Submit{tag, asked}); !done) return tl::unexpected(done.error());
  return std::exchange(replies_, {}).at(tag);
}

Result<Reply> Dispatch::cancel(const std::string& id) {
  const std::uint64_t tag = next_tag_++;
  if (auto done = on(Cancel{tag, id}); !done) return tl::unexpected(done.error());
  return std::exchange(replies_, {}).at(tag);
}

Result<wire::Verdict> Dispatch::hear(const Alive& word) {
  const auto job = control_->jobs().find(word.id);
  if (job != control_->jobs().end() && job->second.state == State::running &&
      job->second.epoch == word.epoch)
    look_at_report(word.id, word.epoch);
  leader_answer_ = wire::Verdict::none;
  if (auto done = on(word); !done) return tl::unexpected(done.error());
  return leader_answer_;
}

// What the leader has found out about a loss lies beside its word. On which node the rank was, the
// plan knows.
void Dispatch::name_lost_node(Ended& end) const {
  const auto written = read_end(file_of(end.id, "end", end.epoch, ".json"));
  if (!written || written->leader != end.leader || written->lost_rank < 0) return;
  const auto plan = emulator::load_plan(file_of(end.id, "plan", end.epoch, ".json"));
  if (!plan || written->lost_rank >= plan->degrees.world()) return;
  const auto accelerator =
      emulator::accelerator_of(written->lost_rank, plan->placement, plan->degrees);
  if (accelerator.index >= cluster_->accelerators()) return;
  end.lost_rank = written->lost_rank;
  end.lost_node = cluster_->node_of(accelerator);
}

Result<wire::Verdict> Dispatch::hear(const Ended& said) {
  Ended word = said;
  const auto job = control_->jobs().find(word.id);
  const bool counts = job != control_->jobs().end() && job->second.epoch == word.epoch &&
                      job->second.leader == word.leader && !is_final(job->second.state);
  if (counts && word.outcome == Outcome::lost) name_lost_node(word);
  if (counts) keep_outcome(word);
  if (counts && word.outcome == Outcome::completed) keep_result(word.id, word.epoch);
  leader_answer_ = wire::Verdict::none;
  if (auto done = on(word); !done) return tl::unexpected(done.error());
  return leader_answer_;
}

Result<void> Dispatch::set_node(int node, bool down, const std::string& reason) {
  return down ? on(NodeDown{node, reason}) : on(NodeUp{node});
}

// What control has decided and the store has not taken can neither be kept nor taken back: whoever
// comes next is told the same, until the coordinator is started again.
Result<void> Dispatch::on(const Event& event) {
  if (!broken_.empty()) return tl::unexpected(broken_);
  std::vector<Event> events = {event};
  while (!events.empty()) {
    for (const Event& next : events)
      if (auto done = perform(control_->on(next, now())); !done) {
        broken_ = done.error();
        return done;
      }
    events = std::exchange(arising_, {});
  }
  return {};
}

Result<void> Dispatch::perform(std::vector<Action> actions) {
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const Action action = actions[i];
    if (const auto* persist = std::get_if<Persist>(&action)) {
      if (auto saved = store_->save(*persist); !saved) return saved;
      const auto* job = std::get_if<Job>(&persist->record);
      if (job != nullptr && is_final(job->state)) reports_.erase(job->spec.id);
      const auto freed = control_->on(Persisted{persist->sequence}, now());
      actions.insert(actions.begin() + static_cast<std::ptrdiff_t>(i) + 1, freed.begin(),
                     freed.end());
    } else if (const auto* reply = std::get_if<Reply>(&action)) {
      replies_[reply->tag] = *reply;
    } else if (const auto* plan = std::get_if<Plan>(&action)) {
      perform(*plan);
    } else if (const auto* launch = std::get_if<Launch>(&action)) {
      perform(*launch);
    } else if (const auto* stop = std::get_if<Stop>(&action)) {
      leader_answer_ = wire::Verdict::stop;
      perform(*stop);
    } else if (std::holds_alternative<Grant>(action)) {
      leader_answer_ = wire::Verdict::granted;
    } else {
      leader_answer_ = wire::Verdict::dismissed;
    }
  }
  return {};
}

// Room on the nodes, and degrees of the latest plan before this one.
std::vector<Portion> Dispatch::portions_for(const Plan& plan) const {
  std::optional<workload::Degrees> before;
  for (int epoch = plan.epoch - 1; epoch > 0 && !before; --epoch)
    if (const auto known = emulator::load_plan(file_of(plan.id, "plan", epoch, ".json")))
      before = known->degrees;
  return portions_of(request_of(control_->jobs().at(plan.id).spec), before,
                     plan.nodes.count * accelerators_per_node(*cluster_));
}

void Dispatch::perform(const Plan& plan) { start_planning(plan, 0); }

void Dispatch::start_planning(const Plan& plan, std::size_t portion) {
  const Job& job = control_->jobs().at(plan.id);
  const std::string folder = folder_of(plan.id);
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  const JobRequest request = request_of(job.spec);
  const std::string model = folder + "/model.json";
  const std::string output = file_of(plan.id, "plan", plan.epoch, ".json");
  const bool written = request.model_text.empty() || write_file(model, request.model_text);
  Child child;
  child.arguments = {own_program(), "plan"};
  for (std::string& argument : plan_arguments(request, portions_for(plan).at(portion), plan.nodes,
                                              settings_.cluster_name, model, output))
    child.arguments.push_back(std::move(argument));
  child.arguments = tethered(std::move(child.arguments), "KILL");
  child.output_path = file_of(plan.id, "planning", plan.epoch, ".txt");
  child.error_path = folder + "/log";
  child.folder = folder;
  const auto pid = written ? start_child(child) : failure({model}, "cannot be written");
  if (pid)
    children_[*pid] = {
        .id = plan.id, .epoch = plan.epoch, .work = Work::planning, .portion = portion};
  else
    arising_.push_back(Planned{plan.id, plan.epoch, Failure::run, to_string(pid.error()), {}});
}

void Dispatch::perform(const Launch& launch) {
  const Job& job = control_->jobs().at(launch.id);
  const JobRequest request = request_of(job.spec);
  const std::string folder = folder_of(launch.id), name = random_name(), token = random_name();
  const bool written = write_file(file_of(launch.id, "token", launch.epoch, ""), token);
  Child child;
  child.arguments = {own_program(),
                     "leader",
                     "--data=" + settings_.data,
                     "--job=" + launch.id,
                     fmt::format("--epoch={}", launch.epoch),
                     "--name=" + name,
                     fmt::format("--steps={}", job.spec.steps - launch.first_step),
                     fmt::format("--first-step={}", launch.first_step),
                     fmt::format("--lease-ms={}", settings_.lease_ms)};
  if (request.emulated) child.arguments.push_back("--emulated");
  for (const std::string& argument : run_arguments(
           request, checkpoints_of(launch.id), file_of(launch.id, "report", launch.epoch, ".json")))
    child.arguments.push_back("--run=" + argument);
  if (request.workload == "train")
    child.arguments.push_back("--checkpoints=" + checkpoints_of(launch.id));
  child.environment = {{"RAILWRIGHT_TOKEN", token}};
  child.output_path = file_of(launch.id, "result", launch.epoch, ".json");
  child.error_path = folder + "/log";
  child.folder = folder;
  const auto pid = written ? start_child(child) : failure({folder}, "cannot be written");
  if (pid)
    children_[*pid] = {.id = launch.id, .epoch = launch.epoch, .name = name};
  else
    arising_.push_back(Ended{launch.id, launch.epoch, name, Outcome::lost, Failure::none, 0,
                             to_string(pid.error())});
}

// What trains is stopped by its leader alone, so that it can store a checkpoint.
void Dispatch::perform(const Stop& stop) {
  if (tell_stop_) tell_stop_(stop);
  const Job& job = control_->jobs().at(stop.id);
  if (job.state == State::running && request_of(job.spec).workload == "train") return;
  for (const auto& [pid, child] : children_)
    if (child.id == stop.id && child.epoch == stop.epoch && !child.ended && !child.adopted)
      kill(pid, child.work == Work::leading ? SIGTERM : SIGKILL);
}

}  // namespace railwright::coordinator
