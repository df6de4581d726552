// The coordinator's side of the protocol of wire/frame.hpp, without sockets: who is connected, what
// their words mean, and which commands they have not confirmed.
//
//   Hello -> Welcome, or Refused;  Heartbeat -> Answer;  Report -> Answer;  Command -> Done
//
// A leader that connects again takes the place of its old connection, and is told again what it
// has not confirmed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "coordinator/service/dispatch.hpp"
#include "coordinator/service/traffic.hpp"
#include "coordinator/wire/frame.hpp"

namespace railwright::coordinator {

// The connection of a leader. It lives as long as it is known to Leaders.
class LeaderLine {
 public:
  virtual ~LeaderLine() = default;
  virtual void send(const wire::Message& message) = 0;
  virtual void close() = 0;

  std::string from;  // its address
  std::optional<wire::Hello> hello;
};

class Leaders {
 public:
  // After the dispatch has started. Hears of commands from it.
  Leaders(Dispatch& dispatch, Traffic& traffic);
  ~Leaders() { dispatch_.on_stop({}); }
  Leaders(const Leaders&) = delete;
  Leaders& operator=(const Leaders&) = delete;

  // False: it was refused, hang up. Errors are those of the store.
  Result<bool> hear(LeaderLine& line, const wire::Message& message);
  void refuse(LeaderLine& line, std::string_view reason);
  void gone(LeaderLine& line);

  // Jobs that ran when we started and whose leaders have neither spoken nor lost their lease yet.
  std::size_t awaited();

 private:
  using Run = std::pair<std::string, int>;  // a job and its epoch
  using Name = std::tuple<std::string, int, std::string>;
  static Name name_of(const wire::Hello& hello) { return {hello.job, hello.epoch, hello.leader}; }
  bool greet(LeaderLine& line, const wire::Message& message);
  void tell(LeaderLine& line);
  void command(const control::Stop& stop);

  Dispatch& dispatch_;
  Traffic& traffic_;
  std::map<Name, LeaderLine*> lines_;
  struct Told {
    std::uint64_t number = 0;
    bool confirmed = false;
  };
  std::map<Run, Told> commands_;  // to stop; kept until the run is over
  std::uint64_t next_command_ = 1;
  std::map<std::string, int> adopting_;  // job, epoch
};

}  // namespace railwright::coordinator
