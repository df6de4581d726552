// A stretch of a stage's work that repeats, as steps: compute, and the exchanges that cut it.
//
// Exchanges in groups of one rank are left out, and compute that nothing cuts is one body: the
// whole layer where no exchange is left.
#pragma once

#include <string>
#include <vector>

#include "workload/kernels.hpp"
#include "workload/program_writer.hpp"

namespace railwright::workload {

class Recipe {
 public:
  // `name` is that of bodies which more than one step was joined into.
  Recipe(std::string name, const Degrees& degrees) : name_(std::move(name)), degrees_(&degrees) {}

  void compute(std::string name, Kernels kernels);                    // after all before it
  void exchange(Dimension group, Operation operation, double bytes);  // what follows waits for it
  // Nothing waits for it but the steps that say so.
  void beside(Dimension group, Operation operation, double bytes);
  void await_beside();  // the next compute step waits for the last exchange beside
  // Compute that waits for no exchange, or for the last one beside alone.
  void compute_beside(std::string name, Kernels kernels, bool waits_for_beside);
  void append(const Recipe& other);

  void register_bodies(ProgramWriter& writer);  // once, before write()
  void write(ProgramWriter& writer) const;
  std::size_t steps() const { return steps_.size(); }

 private:
  enum class StepKind : std::uint8_t { compute, exchange, beside, await_beside, compute_beside };
  struct Step {
    StepKind kind = StepKind::compute;
    std::string name;
    Kernels kernels;
    Dimension group = Dimension::tp;
    Operation operation = Operation::all_reduce;
    Bytes bytes;
    bool waits_for_beside = false;
    int body = -1;
  };
  void add(Step step);
  void call_exchanges();
  bool has_beside() const;

  std::string name_;
  const Degrees* degrees_;
  std::vector<Step> steps_;
};

}  // namespace railwright::workload
