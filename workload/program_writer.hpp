// Appends ops to a program and keeps account of what the next one has to wait for.
//
// What is written is a chain: a compute op waits for the exchange before it, an exchange for the
// compute op before it. `..._beside` leaves the chain: an exchange that compute does not wait for,
// or a compute op that waits for one op only.
#pragma once

#include "workload/program.hpp"

namespace railwright::workload {

class ProgramWriter {
 public:
  explicit ProgramWriter(int stage) { program_.stage = stage; }

  int body(std::string name, std::vector<Kernel> kernels);  // its index; equal ones are one
  void begin(int micro_batch, bool backward);               // of the ops to come; -1: of the step

  int compute(int body);
  int compute_beside(int body, int after);  // after: -1 = nothing but the stream
  // On the stream of tensor, expert and context parallelism.
  int tensor(Dimension group, Operation operation, Bytes bytes);
  int tensor_beside(Dimension group, Operation operation, Bytes bytes);
  int data(Dimension group, Operation operation, Bytes bytes);  // after what was computed last
  int pipeline_collective(Operation operation, Bytes bytes);
  // `blocks`: compute waits until the message has left.
  void send(int peer_stage, Bytes bytes, bool blocks);
  void receive(int peer_stage, Bytes bytes);
  // The next compute op waits for this op too.
  void await(int op) { pending_.push_back(op); }

  void reserve(std::size_t ops) { program_.ops.reserve(ops); }
  Program take() { return std::move(program_); }

 private:
  int add(Op op);
  Op collective(Stream stream, Dimension group, Operation operation, Bytes bytes) const;
  EarlierOps everything_before(Stream stream) const;

  Program program_;
  std::vector<int> pending_;  // what the next compute op waits for
  int last_compute_ = -1;
  int micro_batch_ = -1;
  bool backward_ = false;
};

}  // namespace railwright::workload
