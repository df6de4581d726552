#include "coordinator/service/leaders.hpp"

#include <chrono>

namespace railwright::coordinator {

using namespace control;

Leaders::Leaders(Dispatch& dispatch, Traffic& traffic) : dispatch_(dispatch), traffic_(traffic) {
  // Numbers of an earlier coordinator must not come again: a leader would take them for done.
  next_command_ = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                             std::chrono::microseconds(1));
  dispatch_.on_stop([this](const Stop& stop) { command(stop); });
  for (const auto& [id, job] : dispatch_.control().jobs())
    if (job.state == State::running) adopting_[id] = job.epoch;
}

Result<bool> Leaders::hear(LeaderLine& line, const wire::Message& message) {
  if (!line.hello) return greet(line, message);
  const wire::Hello& who = *line.hello;
  if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) {
    adopting_.erase(who.job);
    const auto heard =
        dispatch_.hear(Alive{who.job, who.epoch, who.leader, beat->asked_at, beat->steps_done});
    if (!heard) return tl::unexpected(heard.error());
    line.send(wire::Answer{beat->number, *heard});
  } else if (const auto* report = std::get_if<wire::Report>(&message)) {
    const auto heard = dispatch_.hear(Ended{who.job, who.epoch, who.leader, report->outcome,
                                            report->failure, report->steps_done, report->reason});
    if (!heard) return tl::unexpected(heard.error());
    commands_.erase({who.job, who.epoch});
    line.send(wire::Answer{report->number, *heard});
  } else if (const auto* done = std::get_if<wire::Done>(&message)) {
    const auto command = commands_.find({who.job, who.epoch});
    if (command != commands_.end() && command->second.number == done->number)
      command->second.confirmed = true;
  } else {
    refuse(line, "order");
    return false;
  }
  return true;
}

bool Leaders::greet(LeaderLine& line, const wire::Message& message) {
  const auto* hello = std::get_if<wire::Hello>(&message);
  if (hello == nullptr || !is_name(hello->job)) {
    refuse(line, "order");
    return false;
  }
  if (!dispatch_.is_token_of(hello->job, hello->epoch, hello->token)) {
    refuse(line, "token");
    return false;
  }
  line.hello = *hello;
  line.hello->token.clear();
  LeaderLine*& place = lines_[name_of(*hello)];
  if (place != nullptr) place->close();
  place = &line;
  traffic_.leaders = static_cast<int>(lines_.size());
  line.send(wire::Welcome{});
  tell(line);
  return true;
}

void Leaders::refuse(LeaderLine& line, std::string_view reason) {
  traffic_.refuse(Protocol::frames, reason, line.from);
  line.send(wire::Refused{std::string(reason)});
}

void Leaders::gone(LeaderLine& line) {
  if (!line.hello) return;
  const auto place = lines_.find(name_of(*line.hello));
  if (place != lines_.end() && place->second == &line) lines_.erase(place);
  traffic_.leaders = static_cast<int>(lines_.size());
}

void Leaders::tell(LeaderLine& line) {
  const auto command = commands_.find({line.hello->job, line.hello->epoch});
  if (command != commands_.end() && !command->second.confirmed)
    line.send(wire::Command{command->second.number, wire::Verb::stop});
}

// Control says it again with each heartbeat; it is sent once per connection.
void Leaders::command(const Stop& stop) {
  std::erase_if(commands_, [&](const auto& command) {
    const auto job = dispatch_.control().jobs().find(command.first.first);
    return job == dispatch_.control().jobs().end() || is_final(job->second.state) ||
           job->second.epoch != command.first.second;
  });
  const auto [place, fresh] =
      commands_.try_emplace({stop.id, stop.epoch}, Told{next_command_, false});
  if (!fresh) return;
  ++next_command_;
  const Name first{stop.id, stop.epoch, ""};
  for (auto it = lines_.lower_bound(first); it != lines_.end(); ++it) {
    const auto& [id, epoch, leader] = it->first;
    if (id != stop.id || epoch != stop.epoch) break;
    tell(*it->second);
  }
}

std::size_t Leaders::awaited() {
  std::erase_if(adopting_, [&](const auto& adopting) {
    const auto job = dispatch_.control().jobs().find(adopting.first);
    return job == dispatch_.control().jobs().end() || job->second.state != State::running ||
           job->second.epoch != adopting.second;
  });
  return adopting_.size();
}

}  // namespace railwright::coordinator
