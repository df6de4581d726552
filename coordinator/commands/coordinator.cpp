// `railwright coordinator`: the service that takes jobs; and `railwright leader`, which it starts.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "coordinator/service/commands.hpp"
#include "coordinator/service/dispatch.hpp"
#include "coordinator/service/leader.hpp"
#include "coordinator/service/server.hpp"

namespace railwright::coordinator {

namespace {

struct Options {
  std::string listen = "127.0.0.1:7777", data, cluster, tokens;
  double lease_s = 60;
  bool insecure = false;
};

constexpr const char* footer = R"(Units: the lease in seconds.
Example:
  railwright coordinator --cluster dgx-h100-4 --data /var/lib/railwright
  railwright submit --model llama-3.1-8b --accelerators 32 --global-batch 128 --sequence 8192 \
    --emulated
Exit status: 0 ended by a signal, 1 the store failed, 2 invalid input.)";

void add_options(CLI::App& command, Options& options) {
  command.add_option("--listen", options.listen, "HOST:PORT; port 0 takes a free one")
      ->capture_default_str();
  command.add_option("--data", options.data, "folder of what it remembers")->required();
  command.add_option("--cluster", options.cluster, "cluster.yaml, or a catalogue name")->required();
  command.add_option("--tokens", options.tokens,
                     "file of mode 0600 with lines ROLE OWNER SECRET; roles: read, submit, admin");
  command.add_option("--lease", options.lease_s, "how long leaders go on without a coordinator")
      ->capture_default_str()
      ->check(CLI::Range(2.0, 86400.0));
  command.add_flag("--insecure", options.insecure, "listen where other machines can connect");
  command.footer(footer);
}

// Children work in other folders.
std::string absolute(const std::string& path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed) ? std::filesystem::absolute(path).string() : path;
}

int run(const Options& options) {
  const auto address = parse_address(options.listen);
  if (!address) return report(address.error());
  if (const auto error = why_not_listen(*address, !options.tokens.empty(), options.insecure))
    return report({*error});
  auto cluster = topology::load_cluster(options.cluster);
  if (!cluster) return report(cluster.error());
  ServerSettings settings;
  settings.address = *address;
  if (!options.tokens.empty()) {
    auto tokens = load_tokens(options.tokens);
    if (!tokens) return report(tokens.error());
    settings.tokens = std::move(*tokens);
  }
  DispatchSettings of_dispatch;
  of_dispatch.data = std::filesystem::absolute(options.data).lexically_normal().string();
  of_dispatch.cluster_name = absolute(options.cluster);
  of_dispatch.lease_ms = static_cast<std::int64_t>(options.lease_s * 1000);
  settings.address_path = of_dispatch.data + "/address";
  auto dispatch = Dispatch::open(of_dispatch, std::move(*cluster));
  if (!dispatch) return report(dispatch.error());
  const auto served = serve_jobs(*dispatch, settings);
  if (served) return exit_ok;
  report(served.error());
  return exit_failed;
}

}  // namespace

void add_coordinator_command(CommandLine& line) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      line.app.add_subcommand("coordinator", "Take jobs, plan, launch and recover them");
  add_options(*command, *options);
  command->callback(
      [&line, options] { line.run = [options] { return coordinator::run(*options); }; });
}

void add_leader_command(CommandLine& line) {
  auto settings = std::make_shared<LeaderSettings>();
  CLI::App* command = line.app.add_subcommand("leader", "Started by the coordinator, not by hand");
  command->group("");  // not listed
  command->add_option("--data", settings->data)->required();
  command->add_option("--job", settings->job)->required();
  command->add_option("--epoch", settings->epoch)->required();
  command->add_option("--name", settings->name)->required();
  command->add_option("--steps", settings->steps)->required();
  command->add_option("--first-step", settings->first_step)->required();
  command->add_option("--lease-ms", settings->lease_ms)->required();
  command->add_option("--token", settings->token)->envname("RAILWRIGHT_TOKEN");
  command->add_flag("--emulated", settings->emulated);
  command->add_option("--run", settings->run);
  command->add_option("--checkpoints", settings->checkpoints);
  command->callback([&line, settings] { line.run = [settings] { return lead(*settings); }; });
}

}  // namespace railwright::coordinator
