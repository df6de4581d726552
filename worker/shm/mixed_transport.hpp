// A Transport that takes the shortest way: between ranks of one machine through their shared
// memory, else through another transport.
//
// A message inside is a line in the queue of its receiver that says where the bytes are; the
// receiver copies them from there, once. A few bytes travel in the line itself. Bytes outside of
// the segments take the other transport, in the order of the lines that announce them.
#pragma once

#include <memory>

#include "worker/shm/node.hpp"
#include "worker/transport.hpp"

namespace railwright::worker {

// What went which way, in payload bytes that this rank sent.
struct Ways {
  Bytes memory;   // through shared memory
  Bytes outside;  // through the other transport
};

class MixedTransport : public Transport {
 public:
  // Collective over the node. Both must outlive the transport. A failure has no peer: too little
  // shared memory is left.
  static WaitResult make(SharedNode& node, Transport& outside, Deadline deadline,
                         std::unique_ptr<MixedTransport>& transport);
  ~MixedTransport() override;

  int rank() const override;
  int size() const override;
  Buffer register_buffer(std::span<std::byte> bytes, MemoryKind memory) override;
  void unregister_buffer(const Buffer& buffer) override;
  Request post_send(int peer, int tag, std::span<const std::byte> bytes) override;
  Request post_receive(int peer, int tag, std::span<std::byte> bytes) override;
  WaitResult test(Request request) override;
  void cancel(Request request) override;
  void progress() override;
  int spin_budget() const override;

  const Ways& ways() const;

 private:
  class Inside;
  explicit MixedTransport(std::unique_ptr<Inside> inside);
  std::unique_ptr<Inside> inside_;
};

}  // namespace railwright::worker
