// Performs what control decides: stores, plans and launches with real processes, and brings back
// what became of them. One thread; the listener calls it and hands it the ends of its children.
//
// Everything of a job lies in DATA/jobs/ID: model.json, and per epoch plan.E.json, result.E.json,
// end.E.json, report.E.json (of the run so far), choice.E.json (of nodes), leader.E.json (its
// process) and token.E; checkpoints/; log is what its processes said. end.E.json is written by the
// leader before it reports, so that an end is not forgotten when nobody hears it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/control/control.hpp"
#include "coordinator/service/children.hpp"
#include "coordinator/service/replan.hpp"
#include "coordinator/service/request.hpp"
#include "coordinator/store/store.hpp"
#include "coordinator/wire/frame.hpp"

namespace railwright::coordinator {

struct DispatchSettings {
  std::string data;          // the folder of everything
  std::string cluster_name;  // of the catalogue, or a file
  std::int64_t lease_ms = 60'000;
};

class Dispatch {
 public:
  static Result<Dispatch> open(DispatchSettings settings, topology::Cluster cluster);

  Result<void> start();
  Result<void> tick();  // twice a second, and after SIGCHLD
  Result<control::Reply> submit(const control::JobSpec& spec);
  Result<control::Reply> cancel(const std::string& id);
  Result<wire::Verdict> hear(const control::Alive& word);
  Result<wire::Verdict> hear(const control::Ended& word);
  Result<void> set_node(int node, bool down, const std::string& reason);
  // Called when a leader is to stop, again and again until it has.
  void on_stop(std::function<void(const control::Stop&)> tell) { tell_stop_ = std::move(tell); }

  const control::Control& control() const { return *control_; }
  const Store& store() const { return *store_; }
  const topology::Cluster& cluster() const { return *cluster_; }
  std::string folder_of(const std::string& id) const;
  std::string checkpoints_of(const std::string& id) const { return folder_of(id) + "/checkpoints"; }
  bool is_token_of(const std::string& id, int epoch, const std::string& token) const;

 private:
  enum class Work : std::uint8_t { leading, planning, placing, reviewing };
  struct Running {
    std::string id{};
    int epoch = 0;
    Work work = Work::leading;
    std::size_t portion = 0;  // planning: the how-manieth way to use the nodes
    std::string name{};       // of a leader
    std::optional<std::chrono::steady_clock::time_point> ended{};  // others of its session live on
    std::string note{};                                            // placing: what the plan changes
    control::NodeRange given{};         // placing, reviewing: the job's nodes when that began
    std::optional<Identity> adopted{};  // leading: no child of ours, an earlier coordinator's
  };
  struct Report {  // of a job that runs
    int epoch = 0;
    std::filesystem::file_time_type seen;
    bool complained = false;
  };
  Dispatch(DispatchSettings settings, topology::Cluster cluster, Store store);

  control::Moment now() const;
  // Errors are those of the store: nothing may be acknowledged any more.
  Result<void> on(const control::Event& event);
  Result<void> perform(std::vector<control::Action> actions);
  void perform(const control::Plan& plan);
  void start_planning(const control::Plan& plan, std::size_t portion);
  std::vector<Portion> portions_for(const control::Plan& plan) const;
  void perform(const control::Launch& launch);
  void perform(const control::Stop& stop);
  Result<void> reap();
  Result<void> finished(const Running& child, int status);
  Result<void> planned(const Running& child, int status);
  std::vector<std::string> running_plans(const std::string& besides) const;
  bool start_placing(const std::string& id, int epoch, Work work, std::string note);
  Json choice_of(const std::string& id, int epoch) const;
  Result<void> placed(const Running& child, int status);
  void remember_slow_links(const std::string& id, int epoch, const Json& report);
  void look_at_report(const std::string& id, int epoch);
  Result<void> reviewed(const Running& child, int status);
  Result<void> leader_ended(const Running& child);
  Result<void> recall_ends();
  void adopt();
  static bool has_ended(pid_t pid, const Running& child, int& wait_status);
  void name_lost_node(control::Ended& end) const;
  Result<void> keep_plan(const std::string& id, int epoch, const std::string& plan);
  void keep_outcome(const control::Ended& end);
  void keep_result(const std::string& id, int epoch);
  std::string file_of(const std::string& id, const char* what, int epoch, const char* ending) const;

  DispatchSettings settings_;
  // Pointers, as all are moved around once before they start.
  std::unique_ptr<topology::Cluster> cluster_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<control::Control> control_;
  std::chrono::steady_clock::time_point steady_start_;
  control::Moment wall_start_;
  std::map<pid_t, Running> children_;
  std::map<std::string, Report> reports_;  // by job, until it is final
  std::vector<control::Event> arising_;    // from performing actions
  std::uint64_t next_tag_ = 1;
  Errors broken_;  // of the store: nothing is promised any more
  std::map<std::uint64_t, control::Reply> replies_;
  wire::Verdict leader_answer_ = wire::Verdict::none;  // to whom is being heard
  std::function<void(const control::Stop&)> tell_stop_;
};

const char* to_string(control::Outcome outcome);  // "completed", ...
// DATA/jobs/ID/leader.E.json: its name and its process.
std::optional<std::pair<std::string, Identity>> read_identity(const std::string& path);
bool write_identity(const std::string& path, const std::string& name, const Identity& process);
// DATA/jobs/ID/end.E.json, read and written.
std::optional<control::Ended> read_end(const std::string& path);
Result<void> write_end(const std::string& path, const control::Ended& end);

}  // namespace railwright::coordinator
