#include "worker/shm/shm_backend.hpp"

#include <fmt/format.h>

#include <cassert>
#include <cstring>

#include "worker/edges.hpp"
#include "worker/kernels/kernels.hpp"
#include "worker/shm/meeting.hpp"
#include "worker/shm/pieces.hpp"

namespace railwright::worker {
namespace {

using collectives::Schedule;
using Clock = std::chrono::steady_clock;
using Deadline = Transport::Deadline;

constexpr std::uint64_t nowhere = ~std::uint64_t{0};  // the place of a private buffer

Seconds since(Clock::time_point start) {
  return {std::chrono::duration<double>(Clock::now() - start).count()};
}

bool note(Execution& execution, const WaitResult& result) {
  if (result.state == WaitState::done) return true;
  execution.state = result.state;
  execution.peer = result.peer;
  return false;
}

// A group and the buffers of the collective that it is at.
struct Party {
  Group group;
  std::unique_ptr<Meeting> meeting;
  std::vector<const std::byte*> inputs;  // by index in the group
  std::vector<std::byte*> results;
};

struct Call {
  const Schedule& schedule;
  const Group& group;
  std::span<std::byte> buffer;
  const Reducer& reducer;
  Deadline deadline;
  PieceMaker pieces() const {
    return {schedule, group.index, vector_bytes(schedule, buffer.size()), size_of(reducer.type())};
  }
};

class ShmBackend : public Backend {
 public:
  ShmBackend(SharedNode& node, Backend* for_private, EdgeLog* edges)
      : node_(node), for_private_(for_private), edges_(edges) {}
  ~ShmBackend() override {
    if (!scratch_.empty()) node_.release(scratch_);
  }
  std::string name() const override { return "shm"; }
  bool opaque() const override { return false; }
  Execution execute(const Schedule& schedule, const Group& group, std::span<std::byte> buffer,
                    const Reducer& reducer, Deadline deadline) override;

 private:
  Party* party_of(const Group& group, Deadline deadline, Execution& execution);
  void through_slots(const Call& call, Party& party, Execution& execution);
  void in_place(const Call& call, Party& party, Execution& execution);
  void work(const Call& call, Party& party, bool alone, Execution& execution);
  void perform(const Call& call, Party& party, const Piece& piece, Execution& execution);
  void log(const Group& group, const Piece& piece, Clock::time_point begin);
  bool take_scratch(std::size_t size);
  bool all_shared(Party& party);

  SharedNode& node_;
  Backend* for_private_;
  EdgeLog* edges_;
  std::vector<std::unique_ptr<Party>> parties_;  // few: a rank is in one group per dimension
  std::span<std::byte> scratch_;                 // where private buffers are copied to
};

Party* ShmBackend::party_of(const Group& group, Deadline deadline, Execution& execution) {
  for (const auto& party : parties_)
    if (party->group.dimension == group.dimension && party->group.ranks == group.ranks)
      return party.get();
  auto party = std::make_unique<Party>();
  party->group = group;
  if (!note(execution, Meeting::make(node_, group, deadline, party->meeting))) return nullptr;
  party->inputs.resize(group.ranks.size());
  party->results.resize(group.ranks.size());
  return parties_.emplace_back(std::move(party)).get();
}

void ShmBackend::work(const Call& call, Party& party, bool alone, Execution& execution) {
  call.pieces().visit(alone, [&](const Piece& piece) {
    const bool timed = edges_ != nullptr && piece.size >= EdgeLog::least_bytes;
    const auto begin = timed ? Clock::now() : Clock::time_point();
    perform(call, party, piece, execution);
    if (timed) log(call.group, piece, begin);
  });
}

void ShmBackend::perform(const Call& call, Party& party, const Piece& piece, Execution& execution) {
  const bool to_all = piece.target == everyone;
  std::byte* const own = to_all ? nullptr : party.results[piece.target];
  if (piece.source != everyone) {
    std::memcpy(own + piece.offset, party.inputs[piece.source] + piece.offset, piece.size);
    execution.received += Bytes{piece.size};
    return;
  }
  std::vector<const std::byte*>& inputs = party.inputs;
  std::vector<std::byte*>& results = party.results;
  for (const std::byte*& input : inputs) input += piece.offset;
  for (std::byte*& result : results) result += piece.offset;
  std::byte* const single[] = {to_all ? nullptr : results[piece.target]};
  sum_into(call.reducer.type(), inputs, to_all ? Targets(results) : Targets(single), piece.size);
  const std::uint64_t others = inputs.size() - 1;
  execution.received += Bytes{others * piece.size};
  if (to_all) execution.sent += Bytes{others * piece.size};
}

// What this rank has read from others, and written to others.
void ShmBackend::log(const Group& group, const Piece& piece, Clock::time_point begin) {
  const auto end = Clock::now();
  for (int i = 0; i < static_cast<int>(group.ranks.size()); ++i) {
    if (i == group.index) continue;
    const int peer = group.ranks[i], own = group.ranks[group.index];
    if (piece.source == everyone || piece.source == i)
      edges_->moved(peer, own, piece.size, begin, end);
    if (piece.target == everyone || piece.target == i)
      edges_->moved(own, peer, piece.size, begin, end);
  }
}

// Everybody makes its own result; whoever has it may go, for slots alternate.
void ShmBackend::through_slots(const Call& call, Party& party, Execution& execution) {
  Meeting& meeting = *party.meeting;
  const Part input = call.pieces().input();
  const std::size_t size = call.buffer.size();
  if (input.size > 0)
    std::memcpy(meeting.slot(call.group.index, size) + input.offset,
                call.buffer.data() + input.offset, input.size);
  meeting.arrive(0);
  if (!note(execution, meeting.wait_for_arrivals(call.deadline))) return;
  for (int i = 0; i < meeting.size(); ++i) {
    party.inputs[i] = i == call.group.index ? call.buffer.data() : meeting.slot(i, size);
    party.results[i] = call.buffer.data();
  }
  work(call, party, true, execution);
}

bool ShmBackend::take_scratch(std::size_t size) {
  if (for_private_ != nullptr && size > largest_copied) return false;
  if (scratch_.size() >= size) return true;
  if (!scratch_.empty()) node_.release(scratch_);
  scratch_ = node_.allocate(size);
  return !scratch_.empty();
}

bool ShmBackend::all_shared(Party& party) {
  const Meeting& meeting = *party.meeting;
  for (int i = 0; i < meeting.size(); ++i) {
    if (meeting.place(i) == nowhere) return false;
    party.inputs[i] = party.results[i] = node_.at(meeting.member(i), meeting.place(i));
  }
  return true;
}

void ShmBackend::in_place(const Call& call, Party& party, Execution& execution) {
  Meeting& meeting = *party.meeting;
  const auto own_place = node_.place_of(call.buffer);
  const bool copies = !own_place && take_scratch(call.buffer.size());
  const Part input = call.pieces().input();
  if (copies && input.size > 0)
    std::memcpy(scratch_.data() + input.offset, call.buffer.data() + input.offset, input.size);
  meeting.arrive(own_place ? *own_place : copies ? *node_.place_of(scratch_) : nowhere);
  const auto start = Clock::now();
  if (!note(execution, meeting.wait_for_arrivals(call.deadline))) return;
  execution.wait = since(start);
  if (!all_shared(party)) {
    if (for_private_ != nullptr)
      execution = for_private_->execute(call.schedule, call.group, call.buffer, call.reducer,
                                        call.deadline);
    else
      execution.state = WaitState::failed;
    return;
  }
  work(call, party, false, execution);
  meeting.finish();
  if (!note(execution, meeting.wait_for_ends(call.deadline))) return;
  if (copies)
    call.pieces().visit_results([&](const Part& part) {
      std::memcpy(call.buffer.data() + part.offset, scratch_.data() + part.offset, part.size);
    });
}

Execution ShmBackend::execute(const Schedule& schedule, const Group& group,
                              std::span<std::byte> buffer, const Reducer& reducer,
                              Deadline deadline) {
  assert(schedule.ranks == static_cast<int>(group.ranks.size()));
  assert(why_shm_cannot(node_, group.ranks).empty());
  const auto start = Clock::now();
  Execution execution;
  if (schedule.ranks == 1) return execution;
  if (Party* party = party_of(group, deadline, execution)) {
    const Call call{schedule, group, buffer, reducer, deadline};
    party->meeting->begin();
    if (buffer.size() <= Meeting::slot_size)
      through_slots(call, *party, execution);
    else
      in_place(call, *party, execution);
  }
  execution.time = since(start);
  return execution;
}

}  // namespace

std::unique_ptr<Backend> make_shm_backend(SharedNode& node, Backend* for_private, EdgeLog* edges) {
  return std::make_unique<ShmBackend>(node, for_private, edges);
}

std::string why_shm_cannot(const SharedNode& node, const std::vector<int>& ranks) {
  for (const int rank : ranks)
    if (node.member_of(rank) < 0)
      return fmt::format("rank {} lives on another machine than rank {}", rank,
                         node.rank_of(node.index()));
  return {};
}

}  // namespace railwright::worker
