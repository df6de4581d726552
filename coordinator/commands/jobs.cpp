// Clients of the coordinator: submit, jobs, show, cancel, logs, wait.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <thread>

#include "coordinator/service/client.hpp"
#include "coordinator/service/commands.hpp"
#include "coordinator/service/job_text.hpp"
#include "coordinator/service/request.hpp"

namespace railwright::coordinator {

namespace {

struct Options {
  Access access = {"127.0.0.1:7777", {}, {}};
  std::string id;
  JobRequest request;
  std::int64_t retries = 3;
  double timeout_s = 0;
  bool json = false, history = false, drift = false, nodes = false;
};

void add_common(CLI::App& command, Options& options) {
  command.add_option("--coordinator", options.access.address, "HOST:PORT of the coordinator")
      ->envname("RAILWRIGHT_COORDINATOR")
      ->capture_default_str();
  wire::ClientTls& tls = options.access.tls;
  command.add_option("--ca", tls.ca, "PEM file of the CA of its certificate: speak TLS")
      ->envname("RAILWRIGHT_CA");
  auto* cert = command.add_option("--cert", tls.certificate, "ours, where it asks for one: PEM")
                   ->envname("RAILWRIGHT_CERT");
  auto* key = command.add_option("--key", tls.key, "the key of --cert: PEM, mode 0600")
                  ->envname("RAILWRIGHT_KEY");
  cert->needs(key);
  key->needs(cert);
  command.add_flag("--json", options.json, "one JSON document on stdout");
  // From the environment only: arguments can be read by every user of the machine.
  if (const char* token = std::getenv("RAILWRIGHT_TOKEN")) options.access.token = token;
}

// An answer that is no refusal; else says why not and gives the exit status.
tl::expected<HttpAnswer, int> ask(const Options& options, const std::string& method,
                                  const std::string& target, const std::string& body = {}) {
  if (const auto fault = fault_of(options.access)) return tl::unexpected(report(*fault));
  const auto answer = ask_coordinator(options.access, method, target, body);
  if (!answer) {
    report(answer.error());
    return tl::unexpected(int{exit_peer_lost});
  }
  if (answer->status < 400) return *answer;
  const Json document = Json::parse(answer->body, nullptr, false);
  const bool said = document.is_object() && document.contains("error");
  report_usage(said ? document["error"].get<std::string>()
                    : fmt::format("the coordinator answered {}", answer->status),
               said ? document.value("hint", "") : "");
  return tl::unexpected(int{exit_usage});
}

tl::expected<Json, int> ask_json(const Options& options, const std::string& method,
                                 const std::string& target, const std::string& body = {}) {
  const auto answer = ask(options, method, target, body);
  if (!answer) return tl::unexpected(answer.error());
  Json document = Json::parse(answer->body, nullptr, false);
  if (document.is_object()) return document;
  report_usage("the answer is no JSON: is " + options.access.address + " a coordinator?");
  return tl::unexpected(int{exit_peer_lost});
}

std::string job_path(const Options& options) { return "/api/v1/jobs/" + options.id; }

// A file is sent as its text: the coordinator may run elsewhere.
void take_model(JobRequest& request) {
  std::error_code failed;
  if (std::filesystem::is_directory(request.model, failed)) request.model += "/config.json";
  std::ifstream file(request.model, std::ios::binary);
  if (!file) return;
  request.model_text.assign(std::istreambuf_iterator<char>(file), {});
}

std::string fresh_id() {
  std::random_device device;
  return fmt::format("job-{:08x}{:08x}", device(), device());
}

int submit(Options options) {
  if (options.id.empty()) options.id = fresh_id();
  take_model(options.request);
  if (!options.request.text.empty())
    options.request.text = std::filesystem::absolute(options.request.text).lexically_normal();
  Json body = to_json(options.request);
  body["id"] = options.id;
  body["retries"] = options.retries;
  // What is no text does not travel as such; the coordinator says what is wrong with the rest.
  const auto text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  const auto job = ask_json(options, "POST", "/api/v1/jobs", text);
  if (!job) return job.error();
  if (options.json)
    print_json(*job);
  else
    std::cout << options.id << "\n";
  return exit_ok;
}

int list(const Options& options) {
  const char* what = options.history ? "/api/v1/runs"
                     : options.drift ? "/api/v1/links"
                     : options.nodes ? "/api/v1/nodes"
                                     : "/api/v1/jobs";
  const auto document = ask_json(options, "GET", what);
  if (!document) return document.error();
  if (options.json)
    print_json(*document);
  else
    std::cout << (options.history ? runs_text((*document)["runs"])
                  : options.drift ? links_text((*document)["links"])
                  : options.nodes ? nodes_text(*document)
                                  : jobs_text((*document)["jobs"]));
  return exit_ok;
}

int show_with(const Options& options, const char* method) {
  const auto job = ask_json(options, method, job_path(options));
  if (!job) return job.error();
  if (options.json)
    print_json(*job);
  else
    std::cout << (job->contains("events") ? job_text(*job) : jobs_text(Json::array({*job})));
  return exit_ok;
}

int logs(const Options& options) {
  const auto answer = ask(options, "GET", job_path(options) + "/logs");
  if (!answer) return answer.error();
  std::cout << answer->body;
  return exit_ok;
}

int status_of(const Json& job) {
  const std::string state = job.value("state", ""), failure = job.value("failure", "");
  if (state == "done") return exit_ok;
  if (failure == "invalid") return exit_usage;
  if (failure == "infeasible") return exit_infeasible;
  if (failure == "lost") return exit_peer_lost;
  return exit_failed;
}

// Until the job is final. A coordinator that is being restarted is waited for, too.
int wait_for(const Options& options) {
  if (const auto fault = fault_of(options.access)) return report(*fault);
  const auto begin = std::chrono::steady_clock::now();
  for (int silent = 0;;) {
    const auto answer = ask_coordinator(options.access, "GET", job_path(options));
    silent = answer ? 0 : silent + 1;
    if (silent > 60 || (answer && answer->status >= 400)) return show_with(options, "GET");
    const Json job = Json::parse(answer ? answer->body : "{}", nullptr, false);
    if (job.is_object() && job.contains("ended_s")) {
      if (options.json)
        print_json(job);
      else
        std::cout << jobs_text(Json::array({job}));
      return status_of(job);
    }
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
    if (options.timeout_s > 0 && waited.count() > options.timeout_s) {
      report_usage("the job has not ended in time", "wait longer, or look at its logs");
      return exit_failed;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(silent > 0 ? 1000 : 250));
  }
}

void add_request(CLI::App& command, Options& options) {
  JobRequest& request = options.request;
  command.add_option("--model", request.model, "config.json of Hugging Face, or a catalogue name")
      ->required();
  command.add_option("--accelerators", request.accelerators, "ranks")->required();
  command.add_option("--global-batch", request.global_batch, "sequences per step")->required();
  command.add_option("--sequence", request.sequence, "tokens per sequence")->required();
  command.add_option("--fix", request.fix, "degrees that are given, as tp=8,pp=4");
  command.add_option("--precision", request.precision, "of weights and activations")
      ->capture_default_str();
  command.add_option("--steps", request.steps, "training steps")->capture_default_str();
  command.add_option("--least-accelerators", request.least_accelerators,
                     "with which it goes on when nodes are lost; default: all");
  command.add_option("--retries", options.retries, "how often it may be lost")
      ->capture_default_str();
  command.add_option("--id", options.id, "of the job: submitting it twice is one job");
  command.add_flag("--emulated", request.emulated, "run it in virtual time");
  command
      .add_option("--workload", request.workload,
                  "traffic: real messages, paced compute; train: a small GPT learns a text")
      ->check(CLI::IsMember({"traffic", "train"}))
      ->capture_default_str();
  command.add_option("--text", request.text, "train: the file to learn; all nodes must see it");
  command
      .add_option("--checkpoint-every", request.checkpoint_every,
                  "train: steps between checkpoints, from which a lost job goes on")
      ->capture_default_str();
  command.add_option("--learning-rate", request.learning_rate, "train: of Adam");
  command.add_option("--seed", request.seed, "train: of weights and of the data's order")
      ->capture_default_str();
  command.footer(R"(Units: sequences per step, tokens per sequence.
The cluster is the coordinator's. Prints the id of the job.
Example:
  railwright submit --model tiny-gpt --accelerators 2 --global-batch 4 --sequence 64 --fix dp=2
Exit status: 0 ok, 2 invalid input, 4 no coordinator answers.)");
}

using Run = int (*)(const Options&);

void add(CommandLine& line, const char* name, const char* what, bool with_id, Run run) {
  auto options = std::make_shared<Options>();
  CLI::App* command = line.app.add_subcommand(name, what);
  add_common(*command, *options);
  if (with_id) command->add_option("job", options->id, "its id")->required();
  if (std::string(name) == "jobs") {
    command->add_flag("--history", options->history,
                      "every launch, the latest first, with its step predicted and measured");
    command->add_flag("--drift", options->drift,
                      "links over the runs: measured over expected, first and last");
    command->add_flag("--nodes", options->nodes, "nodes that are down, and why");
  }
  if (std::string(name) == "wait")
    command->add_option("--timeout", options->timeout_s, "seconds; 0: as long as it takes")
        ->check(CLI::NonNegativeNumber);
  command->footer(fmt::format("Units: times in seconds.\nExample:\n  railwright {}{}\n", name,
                              with_id ? " my-job" : ""));
  command->callback([&line, options, run] { line.run = [options, run] { return run(*options); }; });
}

}  // namespace

void add_job_commands(CommandLine& line) {
  auto options = std::make_shared<Options>();
  CLI::App* command = line.app.add_subcommand("submit", "Give a job to the coordinator");
  add_common(*command, *options);
  add_request(*command, *options);
  command->callback([&line, options] { line.run = [options] { return submit(*options); }; });
  add(line, "jobs", "List the jobs of the coordinator", false, list);
  add(line, "show", "Show a job", true, [](const Options& o) { return show_with(o, "GET"); });
  add(line, "cancel", "Cancel a job", true,
      [](const Options& o) { return show_with(o, "DELETE"); });
  add(line, "logs", "Print what a job's processes said", true, logs);
  add(line, "wait", "Wait until a job has ended; its status is the exit status", true, wait_for);
}

}  // namespace railwright::coordinator
