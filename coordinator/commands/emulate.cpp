// `railwright emulate`: one plan in virtual time, and where its time goes.
#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <memory>

#include "coordinator/console.hpp"
#include "coordinator/emulation/jobs.hpp"
#include "coordinator/emulation/outputs.hpp"
#include "coordinator/emulation/serve.hpp"
#include "coordinator/training.hpp"
#include "topology/files/write_text_file.hpp"

namespace railwright::coordinator {

namespace {

constexpr const char* footer = R"(Units: sequences per step, tokens per sequence; times in seconds.
Every step starts cold; faults strike in the step in which their time lies.
Examples:
  railwright emulate --plan plan.json
  railwright emulate --model llama-3.1-8b --cluster dgx-h100-4 --parallel tp=8,dp=4,zero_stage=1 \
    --global-batch 128 --sequence 8192 --listen 127.0.0.1:9400 --speed 10
Exit status: 0 ok, 1 the step stands still, 2 invalid input, 3 the plan does not fit into memory.)";

// Signs would be taken modulo 2^64, and what is larger as the largest.
CLI::Validator a_seed() {
  return {[](const std::string& text) {
            std::uint64_t seed = 0;
            const char* end = text.data() + text.size();
            const auto read = std::from_chars(text.data(), end, seed);
            if (read.ec == std::errc() && read.ptr == end) return std::string();
            return "'" + text + "' is no seed; write a whole number below 2^64";
          },
          "UINT"};
}

void add_options(CLI::App& command, EmulateOptions& options) {
  command
      .add_option("--plan", options.plans,
                  "plan.json, made by `railwright plan`; several: jobs beside each other")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--model", options.model, "config.json of Hugging Face, or a catalogue name");
  command.add_option("--cluster", options.cluster, "cluster.yaml, or a catalogue name");
  command.add_option("--parallel", options.parallel,
                     std::string("degrees, as tp=8,pp=4,dp=2: ") + workload::degree_words);
  command.add_option("--first-node", options.first_node,
                     "node of rank 0 of what --parallel describes: those before it stay free");
  command.add_option("--global-batch", options.global_batch, "sequences per step");
  command.add_option("--sequence", options.sequence, "tokens per sequence");
  command
      .add_option("--precision", options.precision,
                  "fp32, tf32, bf16, fp16, fp8, fp4, mxfp8 or nvfp4")
      ->capture_default_str();
  command
      .add_option("--steps", options.steps,
                  "steps to emulate; default 1, or without end "
                  "while listening")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  command.add_option("--faults", options.faults,
                     "faults.yaml: what slows down, degrades, dies and returns");
  command.add_option("--seed", options.seed, "of what is random in the faults")
      ->check(a_seed())
      ->capture_default_str();
  command.add_option("--calibration", options.calibration,
                     "calibration.json, laid over the defaults");
  command.add_option("--listen", options.listen, "serve Prometheus here, as 127.0.0.1:9400");
  command
      .add_option("--speed", options.speed, "virtual seconds per second while listening, or max")
      ->capture_default_str();
  command.add_flag("--allow-remote", options.allow_remote, "let --listen leave this machine");
  command.add_flag("--ignore-memory", options.ignore_memory, "emulate what does not fit");
  command.add_flag("--no-fold", options.no_fold, "run every rank, also those that are alike");
  auto* with = command.add_flag("--sensitivities", options.sensitivities,
                                "say what a tenth more FLOP/s, HBM or link bandwidth would give, "
                                "also where it takes long; default: up to 200,000 events a step");
  command.add_flag("--no-sensitivities", options.no_sensitivities, "do not say it")->excludes(with);
  command.add_flag("--json", options.json, "one JSON document on stdout");
  command.add_option("--trace", options.trace, "write a trace that opens in Perfetto: T.json")
      ->check(a_path());
  command.add_option("--timeline", options.timeline, "write the ops of some ranks: T.csv")
      ->check(a_path());
  command.add_option("--links", options.links, "write what each link carried: L.csv")
      ->check(a_path());
  command.add_option("--report", options.report, "write a page: R.html")->check(a_path());
  command.add_option("-o,--output", options.output, "write the plan with this prediction")
      ->check(a_path());
  command.footer(footer);
}

Result<void> write_outputs(const EmulateOptions& options, const EmulationReport& report) {
  const std::tuple<const std::string&, std::string (*)(const EmulationReport&)> outputs[] = {
      {options.trace, trace_json},
      {options.timeline, timeline_csv},
      {options.links, links_csv},
      {options.report, emulation_page}};
  for (const auto& [path, text_of] : outputs) {
    if (path.empty()) continue;
    const auto written = topology::write_text_file(path, text_of(report));
    if (!written) return written;
  }
  if (!options.trace.empty() || !options.timeline.empty())
    std::cerr << fmt::format("note: the timeline shows {} of {} ranks\n",
                             Timeline(report).ranks().size(), report.step.ranks);
  return {};
}

// The plan, with what this emulation says about it.
Result<void> save(const EmulateOptions& options, const EmulateInputs& inputs,
                  const emulator::StepResult& step) {
  if (options.output.empty()) return {};
  emulator::Plan plan = inputs.plan;
  plan.prediction = emulator::prediction_of(step, plan, inputs.cluster);
  plan.calibration_sha256 = emulator::sha256(topology::to_json(inputs.calibration));
  plan.faults_sha256 = inputs.faults_sha256;
  return emulator::save_plan(plan, options.output);
}

// The plan's own prediction, and its choice of algorithms, rest on what it was made with.
void note_other_calibration(const EmulateInputs& inputs) {
  const std::string digest = emulator::sha256(topology::to_json(inputs.calibration));
  if (inputs.plan.calibration_sha256 == digest) return;
  std::cerr << "note: the plan was made with another calibration (" +
                   inputs.plan.calibration_sha256.substr(0, 12) + "); this run takes " +
                   digest.substr(0, 12) + ". --calibration FILE says which\n";
}

void show(const EmulateOptions& options, const EmulationReport& report) {
  if (options.json)
    print_json(emulation_json(report));
  else
    std::cout << emulation_text(report);
  std::cout << std::flush;
}

int finish(const EmulateOptions& options, const EmulationReport& done) {
  const auto saved = save(options, done.inputs, done.step);
  if (!saved) return report(saved.error());
  const auto written = write_outputs(options, done);
  if (!written) return report(written.error());
  show(options, done);
  return exit_ok;
}

int report_standstill(const EmulateOptions& options, const StepSequence& sequence,
                      const EmulatedStep& step) {
  const auto& standstill = *step.result.standstill;
  std::cerr << standstill_text(standstill, sequence.steps() + 1, sequence.now());
  if (options.json) print_json(standstill_json(standstill, sequence.steps() + 1, sequence.now()));
  return exit_failed;
}

int run_steps(const EmulateOptions& options, const EmulateInputs& inputs, const Stopwatch& watch) {
  StepSequence sequence(inputs, progress_bar("emulating"));
  const std::int64_t steps = std::max<std::int64_t>(1, options.steps);
  for (;;) {
    const auto step = sequence.next(sequence.steps() + 1 == steps);
    if (!step) return report(step.error());
    if (step->get().result.standstill) return report_standstill(options, sequence, *step);
    if (sequence.steps() < steps) continue;
    const EmulationReport done{inputs, step->get().result, steps, sequence.now(), watch.wall_s()};
    return finish(options, done);
  }
}

int run_server(const EmulateOptions& options, const EmulateInputs& inputs, const Stopwatch& watch) {
  int status = exit_ok;
  const int served =
      serve(options, inputs, [&](const StepSequence& sequence, const EmulatedStep& step) {
        status = finish(options,
                        {inputs, step.result, sequence.steps(), sequence.now(), watch.wall_s()});
      });
  return served == exit_ok ? status : served;
}

int report_shortage(const EmulateOptions& options, const std::string& shortage) {
  const std::string hint =
      "choose larger degrees, recompute=full or zero_stage=1; --ignore-memory emulates it";
  report_usage("does not fit: " + shortage, hint);
  if (options.json) print_json({{"infeasible_reason", shortage}, {"infeasible_hint", hint}});
  return exit_infeasible;
}

int run(const EmulateOptions& options) {
  const Stopwatch watch;
  if (options.plans.size() > 1) return emulate_jobs(options, watch);
  const Result<EmulateInputs> inputs = read_inputs(options);
  if (!inputs) return report(inputs.error());
  const std::string shortage = memory_shortage(*inputs);
  if (!shortage.empty() && !options.ignore_memory) return report_shortage(options, shortage);
  print_notes(inputs->plan, inputs->cluster, inputs->calibration);
  note_other_calibration(*inputs);
  for (const auto* kind : kinds_of(inputs->plan, inputs->cluster))
    if (const auto line = assumed_rate(*kind, inputs->plan.training.precision))
      std::cerr << "note: " << *line << "\n";
  return options.listen.empty() ? run_steps(options, *inputs, watch)
                                : run_server(options, *inputs, watch);
}

}  // namespace

void add_emulate_command(CommandLine& line) {
  auto options = std::make_shared<EmulateOptions>();
  CLI::App* command =
      line.app.add_subcommand("emulate", "Run a plan in virtual time and say where its time goes");
  add_options(*command, *options);
  command->callback([&line, options] {
    if (options->plans.size() == 1) options->plan = options->plans.front();
    line.run = [options] { return coordinator::run(*options); };
  });
}

}  // namespace railwright::coordinator
