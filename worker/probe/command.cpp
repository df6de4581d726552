#include <memory>

#include "topology/quantity.hpp"
#include "worker/commands.hpp"
#include "worker/probe/probe.hpp"

namespace railwright::worker {

void add_probe_command(CommandLine& line) {
  struct Words {
    std::string size = "1M";
    std::vector<std::string> throttles;
    double timeout_s = 60;
  };
  auto words = std::make_shared<Words>();
  auto options = std::make_shared<ProbeOptions>();
  CLI::App* app = line.app.add_subcommand("probe", "Measure pairs of ranks and name slow ones");
  app->add_option("--cluster", options->cluster, "Compare with this cluster file or name");
  app->add_option("--write", options->write_path, "Write a cluster file of what was found");
  app->add_option("--accelerator", options->accelerator, "Of the cluster file that is written")
      ->capture_default_str();
  app->add_option("-b,--bytes", words->size, "Message of the bandwidth: 1M is 1024-based")
      ->check(checked_by(parse_message_size, "SIZE"))
      ->capture_default_str();
  app->add_option("-n,--repetitions", options->repetitions, "Messages each way; the best counts")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_flag("--all-pairs", options->all_pairs,
                "Every pair, in as many rounds as ranks; else a few per rank, in log2 rounds");
  app->add_option("--tolerance", options->tolerance, "A pair is suspect when so many times slower")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  app->add_option("--backend", options->backend,
                  "p2p: messages of MPI; hierarchical: shared memory inside a machine")
      ->check(CLI::IsMember({"p2p", "hierarchical"}))
      ->capture_default_str();
  app->add_option("--throttle", words->throttles, "Slow a pair down on purpose, as in 0:2=50MB/s")
      ->check(checked_by(parse_throttle, "A:B=RATE"));
  app->add_option("--json", options->json_path, "Write the results to this file, SI units");
  app->add_option("--timeout", words->timeout_s, "Seconds after which a silent peer is lost")
      ->check(seconds_above(0, false))
      ->capture_default_str();
  app->footer("Example: mpirun -n 16 railwright-worker probe --cluster my-cluster.yaml");
  app->callback([=, &line] {
    options->size = *parse_message_size(words->size);
    options->timeout = seconds(words->timeout_s);
    for (const std::string& text : words->throttles)
      options->throttles.push_back(*parse_throttle(text));
    line.patience = setup_patience(options->timeout);
    line.run = [options](const World& world) { return probe(world, *options); };
  });
}

}  // namespace railwright::worker
