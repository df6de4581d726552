#include <memory>

#include "topology/quantity.hpp"
#include "worker/commands.hpp"
#include "worker/compute/compute.hpp"

namespace railwright::worker {

void add_kernels_command(CommandLine& line) {
  struct Words {
    std::string largest;
  };
  auto words = std::make_shared<Words>();
  auto options = std::make_shared<KernelOptions>();
  CLI::App* app = line.app.add_subcommand("kernels", "Measure products and copies: a calibration");
  app->add_option("--accelerator", options->accelerator, "Of the catalogue, whose part this is")
      ->capture_default_str();
  app->add_option("--device", options->device, "cpu, gpu, or auto: a GPU where one is found")
      ->check(CLI::IsMember({"auto", "cpu", "gpu"}))
      ->capture_default_str();
  app->add_option("--largest", words->largest,
                  "Copy: 256M is 1024-based [256M on a CPU, 4G on a GPU]")
      ->check(checked_by(parse_message_size, "SIZE"));
  app->add_option("-o,--output", options->output, "Write a calibration file, for --calibration");
  app->add_option("--json", options->json_path, "Write the curves and the entries, SI units");
  app->footer("Example: mpirun -n 2 railwright-worker kernels -o calibration.json");
  app->callback([=, &line] {
    constexpr std::uint64_t least = 1 << 20;
    if (!words->largest.empty()) options->largest = *parse_message_size(words->largest);
    if (!words->largest.empty() && options->largest.count < least)
      throw CLI::ValidationError("--largest", "a copy of less than 1 MiB says nothing of memory");
    line.run = [options](const World& world) { return measure_kernels(world, *options); };
  });
}

}  // namespace railwright::worker
