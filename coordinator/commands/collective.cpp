// `railwright collective`: one collective on a described cluster, or a sweep over sizes that reads
// like nccl-tests.
#include <iostream>
#include <memory>

#include "coordinator/collective/output.hpp"
#include "topology/files/writable.hpp"
#include "topology/files/write_text_file.hpp"

namespace railwright::coordinator {

namespace {

constexpr const char* footer =
    R"(Sizes read as in nccl-tests: 8, 128M, 1GiB; K, M and G alone are powers of 1024.
For all-gather, reduce-scatter and all-to-all the size is the whole vector of a rank;
send goes from the first rank to the last.
Algorithms: ring, chain, binomial_tree (tree), double_tree, recursive_doubling,
halving_doubling, swing, bine, torus, bruck, pat, hierarchical, pairwise, direct, one_shot,
nvls, nvls_tree, sharp, synthesized; auto is what NCCL would pick where it knows the machine,
else best, the fastest that we know. What does not apply is refused, with those that do.
Groups: nodes=0-3,7  ranks=0-7,16  local=0  stride=8 (every 8th of what is left).
Example:
  railwright collective --cluster dgx-h100-4 --op all_reduce --bytes 1GiB --ranks 32
  railwright collective --cluster dgx-h100-4 -b 8 -e 16G -f 2 --compare ring,tree,best \
    --report all_reduce.html
  railwright collective --cluster dgx-h100 --op all_gather --bytes 1G --group nodes=0-7 local=0
Exit status: 0 ok, 2 invalid input.)";

void add_what(CLI::App& command, CollectiveWords& words) {
  command.add_option("--cluster", words.cluster, "cluster.yaml, or a catalogue name")->required();
  command
      .add_option("--op", words.operation,
                  "all_reduce, reduce_scatter, all_gather, broadcast, reduce, all_to_all or send")
      ->capture_default_str();
  command.add_option("--bytes", words.bytes, "size of the message");
  command.add_option("-b,--begin", words.begin, "smallest size of a sweep");
  command.add_option("-e,--end", words.end, "largest size of a sweep");
  command.add_option("-f,--factor", words.factor, "from one size of a sweep to the next")
      ->capture_default_str();
  command
      .add_option("-d,--datatype", words.data_type,
                  "float, half, bfloat16, ... as nccl-tests: sizes and chunks are whole elements")
      ->capture_default_str();
  command.add_option("-r,--root", words.root, "rank of broadcast and reduce [0]");
}

void add_who(CLI::App& command, CollectiveWords& words) {
  command.add_option("--group", words.group, "who takes part: nodes=, ranks=, local=, stride=");
  command.add_option("--ranks", words.ranks, "the first so many of them, one rank each [all]");
  command
      .add_option("--placement", words.placement,
                  "given: ranks in the order of the group; random or random:SEED: shuffled")
      ->capture_default_str();
  command.add_option("--faults", words.faults, "faults.yaml: links that are degraded");
}

void add_how(CLI::App& command, CollectiveWords& words) {
  CLI::Option* algorithm =
      command.add_option("--algorithm", words.algorithm, "auto, best, or one by name")
          ->capture_default_str();
  command
      .add_option("--compare", words.compare,
                  "several side by side: ring,tree,best; all: every one that applies")
      ->excludes(algorithm);
  command
      .add_option("--detail", words.detail,
                  "steps: every send; phases: one variable for equal steps; automatic: by number")
      ->capture_default_str();
  command.add_option("--calibration", words.calibration,
                     "calibration.json, laid over the default one");
  command
      .add_option("--bound", words.bound,
                  "what no schedule beats, and what is attainable: automatic (up to 2 million "
                  "links), always (a million GPUs take some seconds) or never")
      ->capture_default_str();
  command.add_option("--nccl-version", words.nccl_version, "whose constants predict [newest]");
  command.add_option("--report", words.report, "a page with a chart, HTML")->check(a_path());
  command.add_flag("--json", words.json, "one JSON document on stdout");
}

void print(const CollectiveWords& words, const CollectiveRequest& request, const Sweep& sweep,
           const Stopwatch& watch) {
  if (!words.json) {
    std::cout << sweep_text(request, sweep);
    return;
  }
  Json json = sweep_json(request, sweep);
  json["wall_s"] = watch.wall_s();
  json["peak_rss_bytes"] = Stopwatch::peak_rss_bytes();
  print_json(json);
}

int run(const CollectiveWords& words) {
  const Stopwatch watch;
  const auto request = read_request(words);
  if (!request) return report(request.error());
  if (const auto error = topology::why_not_writable(words.report)) return report({*error});
  const auto sweep = run_sweep(*request);
  if (!sweep) return report(sweep.error());
  print(words, *request, *sweep, watch);
  if (words.report.empty()) return exit_ok;
  const auto written = topology::write_text_file(words.report, sweep_page(*request, *sweep));
  return written ? static_cast<int>(exit_ok) : report(written.error());
}

}  // namespace

void add_collective_command(CommandLine& line) {
  auto words = std::make_shared<CollectiveWords>();
  CLI::App* command = line.app.add_subcommand(
      "collective", "Emulate one collective on a cluster, or a sweep over sizes");
  add_what(*command, *words);
  add_who(*command, *words);
  add_how(*command, *words);
  command->footer(footer);
  command->callback([&line, words] { line.run = [words] { return coordinator::run(*words); }; });
}

}  // namespace railwright::coordinator
