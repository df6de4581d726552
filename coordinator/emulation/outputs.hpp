// The files that `railwright emulate` writes beside its report. All are texts of the last step; the
// same run writes the same bytes.
#pragma once

#include "coordinator/emulation/report.hpp"

namespace railwright::coordinator {

// Ranks in traces and timelines: one per stage, the one that the others wait for, and others that
// are told apart; fewer where programs are long.
inline constexpr std::size_t shown_ranks = 16;
// Events of a trace, rows of a timeline. What does not fit is left out, and that is said.
inline constexpr std::size_t most_events = 400'000;
// Links whose utilisation over time is drawn.
inline constexpr std::size_t drawn_links = 12;

// Trace event format (Perfetto, chrome://tracing): a process per rank with a thread per stream, and
// counters of link utilisation. Names and arguments are those that Kineto gives kernels of NCCL.
std::string trace_json(const EmulationReport& report);
// One row per op: rank, accelerator, stage, stream, kind, op, group, micro_batch, pass, and its
// ready_s, start_s, end_s.
std::string timeline_csv(const EmulationReport& report);
// One row per link class (no link), then one per link that carried anything.
std::string links_csv(const EmulationReport& report);
// A page in itself: blame, sensitivities, links, timeline.
std::string emulation_page(const EmulationReport& report);

// What the intervals of a step are about.
class Timeline {
 public:
  explicit Timeline(const EmulationReport& report);

  struct Entry {
    const emulator::Interval& interval;
    const workload::Op& op;
    int stage;
    std::string name;  // of the body, or "all_reduce tp"
  };
  std::vector<std::int64_t> ranks() const;  // ascending
  Entry entry(const emulator::Interval& interval) const;
  std::string accelerator(std::int64_t rank) const;
  int stage(std::int64_t rank) const;

 private:
  const EmulationReport& report_;
  std::vector<workload::Program> programs_;
};
const char* name_of(workload::Stream stream);
// Seconds to the picosecond.
std::string exact_seconds(Picoseconds time);

}  // namespace railwright::coordinator
