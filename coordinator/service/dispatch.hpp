// Performs what control decides: stores, plans and launches with real processes, and brings back
// what became of them. One thread; the listener calls it and hands it the ends of its children.
//
// Everything of a job lies in DATA/jobs/ID: model.json, and per epoch plan.E.json, result.E.json,
// end.E.json and token.E; log is what its processes said. end.E.json is written by the leader
// before it reports, so that an end is not forgotten when nobody hears it.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/control/control.hpp"
#include "coordinator/service/children.hpp"
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
  bool is_token_of(const std::string& id, int epoch, const std::string& token) const;

 private:
  struct Running {
    std::string id;
    int epoch = 0;
    bool planning = false;
    std::string name;                                            // of a leader
    std::optional<std::chrono::steady_clock::time_point> ended;  // others of its session live on
  };
  Dispatch(DispatchSettings settings, topology::Cluster cluster, Store store);

  control::Moment now() const;
  // Errors are those of the store: nothing may be acknowledged any more.
  Result<void> on(const control::Event& event);
  Result<void> perform(std::vector<control::Action> actions);
  void perform(const control::Plan& plan);
  void perform(const control::Launch& launch);
  void perform(const control::Stop& stop);
  Result<void> reap();
  Result<void> planned(const Running& child, int status);
  Result<void> leader_ended(const Running& child);
  Result<void> recall_ends();
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
  std::vector<control::Event> arising_;  // from performing actions
  std::uint64_t next_tag_ = 1;
  std::map<std::uint64_t, control::Reply> replies_;
  wire::Verdict leader_answer_ = wire::Verdict::none;  // to whom is being heard
  std::function<void(const control::Stop&)> tell_stop_;
};

// DATA/jobs/ID/end.E.json, read and written.
std::optional<control::Ended> read_end(const std::string& path);
Result<void> write_end(const std::string& path, const control::Ended& end);

}  // namespace railwright::coordinator
