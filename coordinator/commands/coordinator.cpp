// `railwright coordinator`: the service that takes jobs; and `railwright leader`, which it starts.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "coordinator/service/commands.hpp"
#include "coordinator/service/dispatch.hpp"
#include "coordinator/service/leader.hpp"
#include "coordinator/service/server.hpp"
#include "coordinator/wire/certificates.hpp"
#include "coordinator/wire/tls.hpp"

namespace railwright::coordinator {

namespace {

struct Options {
  std::string listen = "127.0.0.1:7777", data, cluster, tokens, dev_certs;
  wire::ServerTls tls;
  double lease_s = 60;
  bool insecure = false;
};

constexpr const char* footer = R"(Units: the lease in seconds.
Example:
  railwright coordinator --cluster dgx-h100-4 --data /var/lib/railwright
  railwright submit --model llama-3.1-8b --accelerators 32 --global-batch 128 --sequence 8192 \
    --emulated
  railwright coordinator --make-dev-certs certs
Exit status: 0 ended by a signal, 1 the store failed, 2 invalid input.)";

void add_options(CLI::App& command, Options& options) {
  command.add_option("--listen", options.listen, "HOST:PORT; port 0 takes a free one")
      ->capture_default_str();
  command.add_option("--data", options.data, "folder of what it remembers");
  command.add_option("--cluster", options.cluster, "cluster.yaml, or a catalogue name");
  command.add_option("--tokens", options.tokens,
                     "file of mode 0600 with lines ROLE OWNER SECRET; roles: read, submit, admin");
  command.add_option("--lease", options.lease_s, "how long leaders go on without a coordinator")
      ->capture_default_str()
      ->check(CLI::Range(2.0, 86400.0));
  auto* cert =
      command.add_option("--tls-cert", options.tls.certificate, "PEM file: speak TLS with it");
  auto* key = command.add_option("--tls-key", options.tls.key, "its key: PEM, mode 0600");
  cert->needs(key);
  key->needs(cert);
  command
      .add_option("--tls-client-ca", options.tls.client_ca,
                  "PEM file: clients must show a certificate of this CA")
      ->needs(cert);
  command.add_option("--make-dev-certs", options.dev_certs,
                     "write a CA, a server's and a client's certificate to this folder, and end");
  command.add_flag("--insecure", options.insecure,
                   "listen where other machines can connect without TLS and tokens");
  command.footer(footer);
}

// Children work in other folders.
std::string absolute(const std::string& path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed) ? std::filesystem::absolute(path).string() : path;
}

int make_certificates(const std::string& folder) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  std::vector<std::string> hosts = {"localhost", "127.0.0.1", "::1"};
  if (hosts[0] != host && host[0] != '\0') hosts.emplace_back(host);
  if (const auto made = wire::make_dev_certificates(folder, hosts); !made)
    return report(made.error());
  std::cout << fmt::format("{0}/ca.pem {0}/server.pem {0}/client.pem, and their .key\n", folder);
  return exit_ok;
}

int run(const Options& options) {
  if (!options.dev_certs.empty()) return make_certificates(options.dev_certs);
  if (options.data.empty() || options.cluster.empty()) {
    report_usage("a coordinator needs --data and --cluster", "look at the example in --help");
    return exit_usage;
  }
  const auto address = parse_address(options.listen);
  if (!address) return report(address.error());
  if (const auto error =
          why_not_listen(*address, !options.tokens.empty(), options.tls.on(), options.insecure))
    return report({*error});
  auto cluster = topology::load_cluster(options.cluster);
  if (!cluster) return report(cluster.error());
  ServerSettings settings;
  settings.address = *address;
  settings.tls = options.tls;
  if (!options.tokens.empty()) {
    auto tokens = load_tokens(options.tokens);
    if (!tokens) return report(tokens.error());
    settings.tokens = std::move(*tokens);
  }
  // Before anything is written.
  if (options.tls.on())
    if (const auto tls = wire::server_tls(options.tls); !tls) return report(tls.error());
  if (const auto free = can_listen(*address); !free) {
    report(free.error());
    return exit_failed;
  }
  DispatchSettings of_dispatch;
  of_dispatch.data = std::filesystem::absolute(options.data).lexically_normal().string();
  of_dispatch.cluster_name = absolute(options.cluster);
  of_dispatch.lease_ms = static_cast<std::int64_t>(options.lease_s * 1000);
  settings.data = of_dispatch.data;
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
