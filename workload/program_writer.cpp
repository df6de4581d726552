#include "workload/program_writer.hpp"

#include <algorithm>
#include <utility>

namespace railwright::workload {

namespace {

// Over a stage border, to or from the stage beside this one.
Op transfer(OpKind kind, Stream stream, int peer_stage, Bytes bytes) {
  Op op;
  op.kind = kind;
  op.stream = stream;
  op.bytes = bytes;
  op.group = Dimension::pp;
  op.operation = Operation::send;
  op.peer_stage = peer_stage;
  return op;
}

}  // namespace

int ProgramWriter::body(std::string name, std::vector<Kernel> kernels) {
  Body body{std::move(name), std::move(kernels)};
  const auto known = std::find(program_.bodies.begin(), program_.bodies.end(), body);
  if (known != program_.bodies.end()) return static_cast<int>(known - program_.bodies.begin());
  program_.bodies.push_back(std::move(body));
  return static_cast<int>(program_.bodies.size()) - 1;
}

void ProgramWriter::begin(int micro_batch, bool backward) {
  micro_batch_ = micro_batch;
  backward_ = backward;
}

int ProgramWriter::add(Op op) {
  op.micro_batch = micro_batch_;
  op.backward = backward_;
  program_.ops.push_back(std::move(op));
  return static_cast<int>(program_.ops.size()) - 1;
}

int ProgramWriter::compute(int body) {
  Op op;
  op.body = body;
  op.after = pending_;
  pending_.clear();
  return last_compute_ = add(std::move(op));
}

int ProgramWriter::compute_beside(int body, int after) {
  Op op;
  op.body = body;
  if (after >= 0) op.after = {after};
  return last_compute_ = add(std::move(op));
}

Op ProgramWriter::collective(Stream stream, Dimension group, Operation operation,
                             Bytes bytes) const {
  Op op;
  op.kind = OpKind::collective;
  op.stream = stream;
  op.group = group;
  op.operation = operation;
  op.bytes = bytes;
  op.after = everything_before(stream);
  return op;
}

// The last compute op and what is pending; ops of the own stream need no mention.
EarlierOps ProgramWriter::everything_before(Stream stream) const {
  EarlierOps before;
  if (last_compute_ >= 0) before.push_back(last_compute_);
  for (const int op : pending_)
    if (program_.ops[static_cast<std::size_t>(op)].stream != stream) before.push_back(op);
  return before;
}

int ProgramWriter::tensor(Dimension group, Operation operation, Bytes bytes) {
  const int op = tensor_beside(group, operation, bytes);
  pending_.assign(1, op);  // which waits for all that was pending
  return op;
}

int ProgramWriter::tensor_beside(Dimension group, Operation operation, Bytes bytes) {
  return add(collective(Stream::tensor_comm, group, operation, bytes));
}

int ProgramWriter::data(Dimension group, Operation operation, Bytes bytes) {
  Op op = collective(Stream::data_comm, group, operation, bytes);
  op.after = {};
  if (last_compute_ >= 0) op.after = {last_compute_};
  return add(std::move(op));
}

int ProgramWriter::pipeline_collective(Operation operation, Bytes bytes) {
  const int op = add(collective(Stream::pipeline_comm, Dimension::pp, operation, bytes));
  pending_.assign(1, op);
  return op;
}

void ProgramWriter::send(int peer_stage, Bytes bytes, bool blocks) {
  Op op = transfer(OpKind::send, Stream::pipeline_comm, peer_stage, bytes);
  op.after = everything_before(op.stream);
  const int index = add(std::move(op));
  if (blocks) pending_.push_back(index);
}

void ProgramWriter::receive(int peer_stage, Bytes bytes) {
  Op op = transfer(OpKind::receive, Stream::pipeline_receive, peer_stage, bytes);
  if (last_compute_ >= 0) op.after = {last_compute_};
  pending_.push_back(add(std::move(op)));
}

}  // namespace railwright::workload
