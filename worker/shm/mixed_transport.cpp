#include "worker/shm/mixed_transport.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <deque>

#include "worker/shm/mailbox.hpp"

namespace railwright::worker {
namespace {

constexpr std::size_t signal_count = 1024;  // sends from memory that may be under way
constexpr std::uint64_t none = ~std::uint64_t{0};

}  // namespace

// A request is inside while it is a line or waits for one; then, perhaps, a request outside.
class MixedTransport::Inside {
 public:
  Inside(SharedNode& node, Transport& outside) : node(node), outside(outside) {}
  WaitResult open(Deadline deadline);

  struct Job {
    bool open = false, sends = false, queued = false, beyond = false, failed = false;
    std::uint32_t generation = 0;
    int member = -1, peer = -1, tag = 0;
    std::span<const std::byte> from;
    std::span<std::byte> into;
    std::uint64_t signal = none;  // a send from memory: its line's place
    Request request;              // beyond: outside
  };

  Request post(Job job);
  WaitResult test(Request request);
  void cancel(Request request);
  void progress();

  SharedNode& node;
  Transport& outside;
  Ways ways;

 private:
  struct Peer {
    Mailbox* to = nullptr;    // in its segment
    Mailbox* from = nullptr;  // in ours
    std::uint64_t sent = 0, taken = 0;
    std::deque<Message> come;            // taken out, wanted by nobody yet
    std::deque<std::uint32_t> sends;     // that wait for a line
    std::deque<std::uint32_t> receives;  // that wait for their message
  };

  Job& job_of(Request request);
  WaitResult close(Request request, WaitState state);
  void flush(Peer& peer);
  bool put(Peer& peer, Job& job);
  void take_out(Peer& peer);
  void match(Peer& peer);
  void deliver(const Message& message, Job& job);
  bool is_done(Job& job);

  std::vector<Peer> peers_;
  std::vector<Job> jobs_;
  std::vector<std::uint32_t> free_jobs_;
  std::vector<std::uint64_t> free_signals_;  // places
  std::uint64_t polls_ = 0;
};

// Everybody tells everybody where its mailboxes are.
WaitResult MixedTransport::Inside::open(Deadline deadline) {
  const int members = node.members();
  const std::size_t boxes = sizeof(Mailbox) * static_cast<std::size_t>(members);
  const auto memory = node.allocate(boxes + signal_count * sizeof(Line));
  const std::uint64_t own = memory.empty() ? none : *node.place_of(memory);
  if (own != none) std::memset(memory.data(), 0, memory.size());
  peers_.resize(members);
  bool all = own != none;
  for (int i = 1; i < members; ++i) {
    const int member = (node.index() + i) % members;
    const WaitResult told = node.post_letter(member, own, deadline);
    if (told.state != WaitState::done) return told;
  }
  for (int i = 1; i < members; ++i) {
    const int member = (node.index() + i) % members;
    std::uint64_t place = none;
    const WaitResult heard = node.take_letter(member, place, deadline);
    if (heard.state != WaitState::done) return heard;
    all &= place != none;
    if (!all) continue;
    peers_[member].to = reinterpret_cast<Mailbox*>(node.at(member, place)) + node.index();
    peers_[member].from = reinterpret_cast<Mailbox*>(memory.data()) + member;
  }
  for (std::size_t i = 0; all && i < signal_count; ++i)
    free_signals_.push_back(own + boxes + i * sizeof(Line));
  return {all ? WaitState::done : WaitState::failed, -1};
}

Request MixedTransport::Inside::post(Job job) {
  if (free_jobs_.empty()) {
    free_jobs_.push_back(static_cast<std::uint32_t>(jobs_.size()));
    jobs_.emplace_back();
  }
  const std::uint32_t index = free_jobs_.back();
  free_jobs_.pop_back();
  job.generation = jobs_[index].generation;
  job.open = true;
  job.queued = !job.beyond;
  jobs_[index] = job;
  if (job.queued) {
    Peer& peer = peers_[job.member];
    (job.sends ? peer.sends : peer.receives).push_back(index);
    job.sends ? flush(peer) : match(peer);
  }
  return {(std::uint64_t{job.generation} << 32) | index};
}

MixedTransport::Inside::Job& MixedTransport::Inside::job_of(Request request) {
  Job& job = jobs_[request.id & 0xffffffffu];
  assert(job.open && job.generation == request.id >> 32);
  return job;
}

WaitResult MixedTransport::Inside::close(Request request, WaitState state) {
  Job& job = job_of(request);
  job.open = false;
  ++job.generation;
  if (job.signal != none) free_signals_.push_back(job.signal);
  free_jobs_.push_back(static_cast<std::uint32_t>(request.id & 0xffffffffu));
  return {state, job.peer};
}

void MixedTransport::Inside::flush(Peer& peer) {
  while (!peer.sends.empty() && put(peer, jobs_[peer.sends.front()])) peer.sends.pop_front();
}

// False while the mailbox is full or no signal is free.
bool MixedTransport::Inside::put(Peer& peer, Job& job) {
  if (peer.sent - seen(peer.to->taken_out) == Mailbox::length) return false;
  const auto place = node.place_of(job.from);
  Message message;
  message.tag = static_cast<std::uint64_t>(job.tag);
  message.size = job.from.size();
  if (message.size <= Message::most_in_line) {
    if (message.size > 0) std::memcpy(message.payload, job.from.data(), message.size);
  } else if (place) {
    if (free_signals_.empty()) return false;
    job.signal = free_signals_.back();
    free_signals_.pop_back();
    publish(*reinterpret_cast<Line*>(node.at(node.index(), job.signal)), 0);
    message.carriage = Carriage::in_memory;
    message.place = *place;
    message.taken = job.signal;
  } else {
    message.carriage = Carriage::outside;
    job.request = outside.post_send(job.peer, job.tag, job.from);
    job.beyond = true;
  }
  (message.carriage == Carriage::outside ? ways.outside : ways.memory) += Bytes{message.size};
  Line& line = peer.to->line(++peer.sent);
  std::memcpy(line.words, &message, sizeof message);
  publish(line, peer.sent);
  job.queued = false;
  return true;
}

void MixedTransport::Inside::take_out(Peer& peer) {
  const std::uint64_t before = peer.taken;
  while (seen(peer.from->line(peer.taken + 1)) == peer.taken + 1) {
    Message message;
    std::memcpy(&message, peer.from->line(++peer.taken).words, sizeof message);
    peer.come.push_back(message);
  }
  if (peer.taken != before) publish(peer.from->taken_out, peer.taken);
}

// Receives take the messages of their tag in the order of both.
void MixedTransport::Inside::match(Peer& peer) {
  take_out(peer);
  for (auto next = peer.receives.begin(); next != peer.receives.end() && !peer.come.empty();) {
    Job& job = jobs_[*next];
    const auto found =
        std::ranges::find(peer.come, static_cast<std::uint64_t>(job.tag), &Message::tag);
    if (found == peer.come.end()) {
      ++next;
      continue;
    }
    deliver(*found, job);
    peer.come.erase(found);
    next = peer.receives.erase(next);
  }
}

void MixedTransport::Inside::deliver(const Message& message, Job& job) {
  job.queued = false;
  job.failed = message.size != job.into.size();
  if (message.carriage == Carriage::outside) {
    job.request = outside.post_receive(job.peer, job.tag, job.into);
    job.beyond = true;
    job.failed = false;  // the other transport will see
    return;
  }
  const bool in_line = message.carriage == Carriage::in_line;
  if (!job.failed && message.size > 0)
    std::memcpy(job.into.data(), in_line ? message.payload : node.at(job.member, message.place),
                message.size);
  if (!in_line) publish(*reinterpret_cast<Line*>(node.at(job.member, message.taken)), 1);
}

bool MixedTransport::Inside::is_done(Job& job) {
  if (job.queued) job.sends ? flush(peers_[job.member]) : match(peers_[job.member]);
  if (job.queued || job.beyond) return false;
  return job.signal == none ||
         seen(*reinterpret_cast<Line*>(node.at(node.index(), job.signal))) == 1;
}

WaitResult MixedTransport::Inside::test(Request request) {
  Job& job = job_of(request);
  if (!job.beyond && is_done(job))
    return close(request, job.failed ? WaitState::failed : WaitState::done);
  // Whoever waits for one message must not hold up those that are under way elsewhere.
  if (++polls_ % 256 == 0) progress();
  if (!job.beyond) return {WaitState::pending, job.peer};
  const WaitResult result = outside.test(job.request);
  return result.state == WaitState::pending ? result : close(request, result.state);
}

void MixedTransport::Inside::progress() {
  for (Peer& peer : peers_) flush(peer);
  outside.progress();
}

void MixedTransport::Inside::cancel(Request request) {
  Job& job = job_of(request);
  const auto index = static_cast<std::uint32_t>(request.id & 0xffffffffu);
  if (job.beyond) outside.cancel(job.request);
  if (job.queued)
    std::erase(job.sends ? peers_[job.member].sends : peers_[job.member].receives, index);
  job.signal = none;  // its receiver may still set it
  close(request, WaitState::failed);
}

MixedTransport::MixedTransport(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
MixedTransport::~MixedTransport() = default;

WaitResult MixedTransport::make(SharedNode& node, Transport& outside, Deadline deadline,
                                std::unique_ptr<MixedTransport>& transport) {
  auto inside = std::make_unique<Inside>(node, outside);
  const WaitResult result = inside->open(deadline);
  if (result.state == WaitState::done) transport.reset(new MixedTransport(std::move(inside)));
  return result;
}

int MixedTransport::rank() const { return inside_->outside.rank(); }
int MixedTransport::size() const { return inside_->outside.size(); }
int MixedTransport::spin_budget() const { return inside_->outside.spin_budget(); }
void MixedTransport::progress() { inside_->progress(); }
const Ways& MixedTransport::ways() const { return inside_->ways; }

Buffer MixedTransport::register_buffer(std::span<std::byte> bytes, MemoryKind memory) {
  return inside_->outside.register_buffer(bytes, memory);
}
void MixedTransport::unregister_buffer(const Buffer& buffer) {
  inside_->outside.unregister_buffer(buffer);
}

Request MixedTransport::post_send(int peer, int tag, std::span<const std::byte> bytes) {
  Inside::Job job;
  job.sends = true;
  job.member = inside_->node.member_of(peer);
  job.peer = peer;
  job.tag = tag;
  job.from = bytes;
  job.beyond = job.member < 0 || job.member == inside_->node.index();
  if (job.beyond) {
    job.request = inside_->outside.post_send(peer, tag, bytes);
    inside_->ways.outside += Bytes{bytes.size()};
  }
  return inside_->post(job);
}

Request MixedTransport::post_receive(int peer, int tag, std::span<std::byte> bytes) {
  Inside::Job job;
  job.member = inside_->node.member_of(peer);
  job.peer = peer;
  job.tag = tag;
  job.into = bytes;
  job.beyond = job.member < 0 || job.member == inside_->node.index();
  if (job.beyond) job.request = inside_->outside.post_receive(peer, tag, bytes);
  return inside_->post(job);
}

WaitResult MixedTransport::test(Request request) { return inside_->test(request); }
void MixedTransport::cancel(Request request) { inside_->cancel(request); }

}  // namespace railwright::worker
