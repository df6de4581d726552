#include "coordinator/calibration/kernel_runs.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/coordinator/command.hpp"
#include "topology/calibration_overlay.hpp"
#include "topology/topology.hpp"
#include "workload/kernel_fit.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using railwright::test::Folder;
using railwright::test::run_command;
using Json = nlohmann::ordered_json;

namespace {

// On a busy machine of two cores: far from any line.
const std::string measured = "tests/coordinator/data/kernels-cpu.json";

// What kernels would say of an H100 with these constants.
Json made(double gemm, double half_depth, double hbm, double half_size) {
  const std::string name = "h100-sxm5-80gb";
  const auto& all = topology::accelerator_catalogue();
  const auto kind = std::ranges::find(all, name, &topology::AcceleratorKind::name);
  const auto precision = topology::Precision::bf16;
  topology::Calibration calibration;
  for (const auto& [parameter, value] : {std::pair("gemm_efficiency", gemm),
                                         {"gemm_half_depth", half_depth},
                                         {"hbm_efficiency", hbm},
                                         {"hbm_half_size", half_size}})
    calibration.entries.push_back({name, parameter, "1", value, 0, 1, 0, 0, ""});
  Json document{{"processor", "cuBLAS 13.1.0"}, {"accelerator", name},
                {"precision", "bf16"},          {"ranks", 8},
                {"products", Json::array()},    {"copies", Json::array()}};
  for (int k = 256; k <= 8192; k *= 2) {
    const Seconds time = workload::predicted_time(workload::ProductPoint{8192, 8192, k, {}}, *kind,
                                                  precision, calibration);
    document["products"].push_back({{"m", 8192}, {"n", 8192}, {"k", k}, {"time_s", time.value}});
  }
  for (std::uint64_t size = 1 << 20; size <= std::uint64_t{4} << 30; size *= 2) {
    const Seconds time =
        workload::predicted_time(workload::CopyPoint{{size}, {}}, *kind, calibration);
    document["copies"].push_back({{"bytes", size}, {"time_s", time.value}});
  }
  return document;
}

double value_of(const CalibrationFit& fit, const std::string& parameter) {
  for (const auto& entry : fit.entries)
    if (entry.parameter == parameter) return entry.value;
  FAIL("no " << parameter);
  return 0;
}

std::string refusal(const Json& document, const std::string& accelerator = "") {
  const auto fit = fit_kernels(document.dump(), "kernels.json", accelerator);
  return fit ? "" : to_string(fit.error());
}

}  // namespace

TEST_CASE("the constants that a kernels file was made with come back, products left out or not") {
  const auto fit = fit_kernels(made(0.7, 90, 0.8, 3e6).dump(), "kernels.json", "");
  REQUIRE(fit);
  CHECK(fit->what == "kernels: h100-sxm5-80gb in bf16 by cuBLAS 13.1.0, 8 ranks");
  CHECK(value_of(*fit, "gemm_efficiency") == Approx(0.7));
  CHECK(value_of(*fit, "gemm_half_depth") == Approx(90).epsilon(1e-4));
  CHECK(value_of(*fit, "hbm_efficiency") == Approx(0.8));
  CHECK(value_of(*fit, "hbm_half_size") == Approx(3e6).epsilon(1e-4));
  CHECK(fit->residual < 1e-6);
  CHECK(fit->left_out < 1e-6);
  CHECK(fit->note.empty());
}

TEST_CASE("one product that is twice as slow shows, and more where it is left out") {
  Json document = made(0.7, 90, 0.8, 3e6);
  document["products"][5]["time_s"] = 2 * document["products"][5]["time_s"].get<double>();
  const auto fit = fit_kernels(document.dump(), "kernels.json", "");
  REQUIRE(fit);
  CHECK(fit->residual > 0.02);
  CHECK(fit->left_out > fit->residual);
}

TEST_CASE("what could not be fitted is off by all of it, and said") {
  Json document = made(0.7, 90, 0.8, 3e6);
  for (Json& copy : document["copies"]) copy["time_s"] = 1e-3;
  const auto fit = fit_kernels(document.dump(), "kernels.json", "");
  REQUIRE(fit);
  CHECK(fit->entries.size() == 2);
  CHECK(fit->residual == Approx(4.0 / 10));  // six products and the four largest copies
  CHECK(fit->note.find("hbm_efficiency: the time does not grow") == 0);
}

TEST_CASE("of a file that kernels wrote the fit is the one that kernels wrote beside it") {
  const std::string text = test::read_text(test::source_file(measured));
  const auto fit = fit_kernels(text, "kernels.json", "");
  REQUIRE(fit);
  const Json entries = Json::parse(text)["entries"];
  REQUIRE(entries.size() == fit->entries.size());
  for (std::size_t i = 0; i < fit->entries.size(); ++i) {
    INFO(fit->entries[i].parameter);
    CHECK(entries[i]["subject"] == fit->entries[i].subject);
    CHECK(entries[i]["parameter"] == fit->entries[i].parameter);
    CHECK(fit->entries[i].value == Approx(entries[i]["value"].get<double>()));
    CHECK(fit->entries[i].standard_error == Approx(entries[i]["standard_error"].get<double>()));
    CHECK(topology::misfit_of(fit->entries[i]) == "");
  }
}

TEST_CASE("what is missing in a kernels file is named") {
  const auto says = [](const std::string& text, const std::string& words) {
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
  };
  const Json whole = made(0.7, 90, 0.8, 3e6);
  CHECK(refusal(whole) == "");
  Json cut = whole;
  cut["products"] = Json::array({whole["products"][0], whole["products"][1], whole["products"][2]});
  says(refusal(cut), "products of 3 depths; a fit needs 4");
  cut = whole;
  cut["copies"] = Json::array({whole["copies"][0], whole["copies"][1], whole["copies"][2]});
  says(refusal(cut), "3 sizes of copies within a factor of 8 of the largest; a fit needs 4");
  cut["copies"] = Json::array();
  says(refusal(cut), "0 sizes of copies");
  for (const Json& broken : {Json(-1), Json("fast"), Json(1e9), Json()}) {
    cut = whole;
    cut["products"][2]["time_s"] = broken;
    says(refusal(cut), "product 2 is not whole");
    cut = whole;
    cut["copies"][4]["bytes"] = broken.is_number() ? Json(0.5) : broken;
    says(refusal(cut), "copy 4 is not whole");
  }
  cut = whole;
  cut["products"][0] = 7;
  says(refusal(cut), "product 0 is not whole");
  cut = whole;
  cut["precision"] = "fp64";
  says(refusal(cut), "no rate of h100-sxm5-80gb in precision 'fp64'");
  cut["accelerator"] = 3;
  says(refusal(cut), "no accelerator '' is in the catalogue; say it: --accelerator");
  says(refusal(whole, "some-gpu"), "no accelerator 'some-gpu'");
}

TEST_CASE("railwright calibrate takes kernels alone and beside a bench, as one calibration") {
  const Folder folder;
  const std::string output = folder.file("calibration.json");
  const auto alone = run_command("calibrate " + test::source_file(measured) + " -o " + output);
  INFO(alone.err);
  REQUIRE(alone.status == 0);
  CHECK(alone.out.find("FLOP") != std::string::npos);
  const auto both = run_command(
      fmt::format("calibrate {} {} -o {} --json", test::source_file(measured),
                  test::source_file("tests/coordinator/data/nccl-tests-h100.txt"), output));
  INFO(both.err);
  REQUIRE(both.status == 0);
  CHECK(both.json()["fits"].back()["what"] ==
        "kernels: cpu-core in fp32 by Eigen on one core, 1 rank");
  const auto calibration = topology::load_calibration(output);
  REQUIRE(calibration);
  CHECK(calibration->find("cpu-core", "gemm_half_depth") != nullptr);
  CHECK(calibration->find("nvlink-4", "link_efficiency") != nullptr);
}
