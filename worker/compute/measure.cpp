#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "topology/files/names.hpp"
#include "topology/files/writable.hpp"
#include "topology/quantity.hpp"
#include "topology/version.hpp"
#include "worker/await.hpp"
#include "worker/compute/compute.hpp"
#include "workload/kernel_fit.hpp"

namespace railwright::worker {
namespace {

using Json = nlohmann::ordered_json;

// Collective: with `auto` all ranks measure the same kind.
Result<std::unique_ptr<Processor>> choose(const World& world, const KernelOptions& options) {
  if (options.device == "cpu") return make_cpu();
  auto gpu = make_gpu(world.node_rank);
  const std::uint64_t found = reduced(world, MPI_COMM_WORLD, gpu ? 1 : 0, MPI_SUM);
  if (options.device == "gpu" || found == static_cast<std::uint64_t>(world.size)) return gpu;
  if (world.first() && found > 0)
    std::cerr << fmt::format("note: {} of {} ranks have a GPU: the CPUs are measured\n", found,
                             world.size);
  return make_cpu();
}

std::string precision_name(topology::Precision precision) {
  return std::string(topology::name_of(topology::precision_names, precision));
}

const topology::AcceleratorKind* accelerator_named(const std::string& name) {
  const auto& all = topology::accelerator_catalogue();
  const auto found = std::ranges::find(all, name, &topology::AcceleratorKind::name);
  return found == all.end() ? nullptr : &*found;
}

Errors wrong_options(const World& world, const KernelOptions& options) {
  Errors errors;
  if (accelerator_named(options.accelerator) == nullptr)
    errors.push_back(
        {{},
         fmt::format("--accelerator '{}' is not in the catalogue", options.accelerator),
         "railwright topology list accelerators names them"});
  for (const std::string& path : {options.output, options.json_path})
    if (const auto error = topology::why_not_writable(path); world.first() && error)
      errors.push_back(*error);
  return errors;
}

class Measuring {
 public:
  Measuring(const World& world, Processor& processor) : world_(world), processor_(processor) {}
  // False once a rank has failed, which has printed why.
  bool run(Bytes largest);
  workload::Curves curves;

 private:
  template <class Measure>
  bool point(Seconds& time, Measure measure);
  void print(const std::string& line) const {
    if (world_.first()) std::cout << line << std::flush;
  }
  const World& world_;
  Processor& processor_;
};

// All ranks at once: cores share the memory's bandwidth.
template <class Measure>
bool Measuring::point(Seconds& time, Measure measure) {
  meet(world_, MPI_COMM_WORLD);
  const Result<Seconds> own = measure();
  if (!agree(world_, own ? Errors{} : own.error())) return false;
  const auto picoseconds = static_cast<std::uint64_t>(own->value * 1e12);
  const std::uint64_t sum = reduced(world_, MPI_COMM_WORLD, picoseconds, MPI_SUM);
  time = {std::max(1.0, static_cast<double>(sum)) * 1e-12 / world_.size};
  return true;
}

bool Measuring::run(Bytes largest) {
  const int wide = processor_.on_gpu() ? 8192 : 512, deepest = processor_.on_gpu() ? 8192 : 1024;
  print(fmt::format("{:>8} {:>8} {:>8} {:>12} {:>12}\n", "m", "n", "k", "us", "GFLOP/s"));
  for (int depth = deepest / 32; depth <= deepest; depth *= 2) {
    workload::ProductPoint p{wide, wide, depth, {}};
    if (!point(p.time, [&] { return processor_.multiply(p.m, p.n, p.k); })) return false;
    print(fmt::format("{:>8} {:>8} {:>8} {:>12.1f} {:>12.1f}\n", p.m, p.n, p.k,
                      in_microseconds(p.time), p.flops() / p.time.value / 1e9));
    curves.products.push_back(p);
  }
  print(fmt::format("{:>26} {:>12} {:>12}\n", "copied", "us", "GB/s"));
  for (std::uint64_t size = largest.count >> 12; size <= largest.count; size *= 2) {
    workload::CopyPoint p{{size}, {}};
    if (!point(p.time, [&] { return processor_.copy(p.moved); })) return false;
    print(fmt::format("{:>26} {:>12.1f} {:>12.2f}\n", railwright::to_string(p.moved),
                      in_microseconds(p.time), in_gigabytes_per_second(p.moved / p.time)));
    curves.copies.push_back(p);
  }
  return true;
}

std::string json_of(const World& world, const Processor& processor, const KernelOptions& options,
                    const workload::Curves& curves, const topology::Calibration& calibration) {
  Json document = {{"version", tool_version},
                   {"processor", processor.name()},
                   {"accelerator", options.accelerator},
                   {"precision", precision_name(processor.precision())},
                   {"ranks", world.size},
                   {"oversubscribed", world.oversubscribed}};
  document["products"] = document["copies"] = document["entries"] = Json::array();
  for (const workload::ProductPoint& p : curves.products)
    document["products"].push_back({{"m", p.m},
                                    {"n", p.n},
                                    {"k", p.k},
                                    {"time_s", p.time.value},
                                    {"flops_per_s", p.flops() / p.time.value}});
  for (const workload::CopyPoint& p : curves.copies)
    document["copies"].push_back({{"bytes", p.moved.count},
                                  {"time_s", p.time.value},
                                  {"bytes_per_s", (p.moved / p.time).bytes_per_second}});
  document["entries"] = Json::parse(topology::to_json(calibration))["entries"];
  return document.dump(2) + "\n";
}

Errors write(const KernelOptions& options, const topology::Calibration& calibration,
             const std::string& json) {
  Errors errors;
  if (!options.output.empty()) errors = write_file(options.output, topology::to_json(calibration));
  if (!options.json_path.empty())
    for (const ConfigError& error : write_file(options.json_path, json)) errors.push_back(error);
  return errors;
}

}  // namespace

int measure_kernels(const World& world, const KernelOptions& options) {
  Errors errors = wrong_options(world, options);
  auto processor = choose(world, options);
  if (!processor) errors.insert(errors.end(), processor.error().begin(), processor.error().end());
  if (!agree(world, errors)) return exit_usage;
  Processor& works = **processor;
  const topology::AcceleratorKind& accelerator = *accelerator_named(options.accelerator);
  const bool known = accelerator.peak.contains(works.precision());
  const ConfigError unknown{{},
                            fmt::format("the catalogue has no {} rate of {}",
                                        precision_name(works.precision()), accelerator.name),
                            "name the accelerator of this machine with --accelerator"};
  if (!agree(world, known ? Errors{} : Errors{unknown})) return exit_usage;
  if (world.first())
    std::cout << fmt::format("# {}, {}, as {}{}\n", works.name(), precision_name(works.precision()),
                             accelerator.name,
                             world.oversubscribed ? ", more ranks than cores" : "");
  const Bytes usual = works.on_gpu() ? gibibytes(4) : mebibytes(256);
  Measuring measuring(world, works);
  if (!measuring.run(options.largest.count > 0 ? options.largest : usual)) return exit_failed;
  std::vector<std::string> notes;
  const std::string how =
      fmt::format("railwright-worker {} kernels: {} on {}, {} rank{}", tool_version, works.name(),
                  world.hosts[0], world.size, world.size == 1 ? "" : "s");
  const topology::Calibration calibration =
      workload::kernel_calibration(measuring.curves, accelerator, works.precision(), how, notes);
  if (!agree(world,
             calibration.entries.empty()
                 ? Errors{{{},
                           "nothing could be fitted: " + fmt::format("{}", fmt::join(notes, "; ")),
                           "measure while nothing else runs"}}
                 : Errors{}))
    return exit_failed;
  if (world.first()) {
    for (const topology::CalibrationEntry& entry : calibration.entries)
      std::cout << fmt::format("{:<18} {:<18} {:>12.4g} {}\n", entry.subject, entry.parameter,
                               entry.value, entry.unit);
    for (const std::string& note : notes) std::cerr << "note: " << note << "\n";
    errors =
        write(options, calibration, json_of(world, works, options, measuring.curves, calibration));
  }
  return agree(world, errors) ? exit_ok : exit_usage;
}

}  // namespace railwright::worker
