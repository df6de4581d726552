#include "coordinator/calibration/kernel_runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "topology/files/names.hpp"
#include "topology/topology.hpp"
#include "workload/kernel_fit.hpp"

namespace railwright::coordinator {
namespace {

using nlohmann::json;
using workload::Curves;

constexpr std::size_t fewest = 4;  // points of a line, so that one can be left out
constexpr double longest = 1e6, most = 1e15;

double number_in(const json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_number()) return 0;
  return object[key].get<double>();
}

std::string text_in(const json& object, const char* key) {
  if (!object.contains(key) || !object[key].is_string()) return {};
  return object[key].get<std::string>();
}

const topology::AcceleratorKind* accelerator_named(const std::string& name) {
  const auto& all = topology::accelerator_catalogue();
  const auto found = std::ranges::find(all, name, &topology::AcceleratorKind::name);
  return found == all.end() ? nullptr : &*found;
}

std::optional<topology::Precision> precision_named(const std::string& name) {
  for (const auto& [spelled, precision] : topology::precision_names)
    if (spelled == name) return precision;
  return std::nullopt;
}

bool is_size(double value, double largest) {
  return value >= 1 && value <= largest && value == std::floor(value);
}

// Empty where a point is not whole; `why` says which.
std::optional<Curves> curves_in(const json& document, std::string& why) {
  constexpr double widest = 1 << 30;
  Curves curves;
  for (const json& row : document["products"]) {
    const double m = number_in(row, "m"), n = number_in(row, "n"), k = number_in(row, "k");
    const double time = number_in(row, "time_s");
    why = fmt::format("product {} is not whole", curves.products.size());
    if (!is_size(m, widest) || !is_size(n, widest) || !is_size(k, widest)) return std::nullopt;
    if (!(time > 0 && time <= longest)) return std::nullopt;
    curves.products.push_back(
        {static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), seconds(time)});
  }
  for (const json& row : document["copies"]) {
    const double size = number_in(row, "bytes"), time = number_in(row, "time_s");
    why = fmt::format("copy {} is not whole", curves.copies.size());
    if (!is_size(size, most) || !(time > 0 && time <= longest)) return std::nullopt;
    curves.copies.push_back({bytes(static_cast<std::uint64_t>(size)), seconds(time)});
  }
  std::ranges::sort(curves.products, {}, &workload::ProductPoint::k);
  std::ranges::sort(curves.copies, {}, [](const auto& point) { return point.moved.count; });
  return curves;
}

std::string too_little(const Curves& curves) {
  std::set<int> depths;
  for (const auto& point : curves.products) depths.insert(point.k);
  if (depths.size() < fewest)
    return fmt::format("products of {} depths; a fit needs {}", depths.size(), fewest);
  std::set<std::uint64_t> sizes;
  for (const auto& point : workload::large_copies(curves)) sizes.insert(point.moved.count);
  if (sizes.size() < fewest)
    return fmt::format("{} sizes of copies within a factor of 8 of the largest; a fit needs {}",
                       sizes.size(), fewest);
  return {};
}

class Fit {
 public:
  Fit(Curves curves, const topology::AcceleratorKind& accelerator, topology::Precision precision)
      : curves_(std::move(curves)), accelerator_(accelerator), precision_(precision) {}

  CalibrationFit run(const std::string& source) const {
    CalibrationFit fit;
    std::vector<std::string> notes;
    const topology::Calibration all = of(curves_, source, notes);
    fit.entries = all.entries;
    for (const std::string& note : notes) fit.note += (fit.note.empty() ? "" : "\n") + note;
    const auto copies = workload::large_copies(curves_);
    const auto count = static_cast<double>(curves_.products.size() + copies.size());
    for (std::size_t i = 0; i < curves_.products.size(); ++i) {
      Curves others = curves_;
      others.products.erase(others.products.begin() + static_cast<std::ptrdiff_t>(i));
      fit.residual += error(curves_.products[i], all) / count;
      fit.left_out += error(curves_.products[i], of(others)) / count;
    }
    for (std::size_t i = 0; i < copies.size(); ++i) {
      Curves others = curves_;
      others.copies = copies;
      others.copies.erase(others.copies.begin() + static_cast<std::ptrdiff_t>(i));
      fit.residual += error(copies[i], all) / count;
      fit.left_out += error(copies[i], of(others)) / count;
    }
    return fit;
  }

 private:
  topology::Calibration of(const Curves& curves) const {
    std::vector<std::string> ignored;
    return of(curves, "", ignored);
  }
  topology::Calibration of(const Curves& curves, const std::string& source,
                           std::vector<std::string>& notes) const {
    return workload::kernel_calibration(curves, accelerator_, precision_, source, notes);
  }
  double error(const workload::ProductPoint& point, const topology::Calibration& with) const {
    return off_by(workload::predicted_time(point, accelerator_, precision_, with), point.time);
  }
  double error(const workload::CopyPoint& point, const topology::Calibration& with) const {
    return off_by(workload::predicted_time(point, accelerator_, with), point.time);
  }
  // Where nothing could be fitted no time is predicted: off by all of it.
  static double off_by(Seconds predicted, Seconds measured) {
    return std::isfinite(predicted.value) ? std::abs(predicted / measured - 1) : 1;
  }

  Curves curves_;
  const topology::AcceleratorKind& accelerator_;
  topology::Precision precision_;
};

}  // namespace

bool is_of_kernels(std::string_view text) {
  if (text.find("\"products\"") == std::string_view::npos) return false;
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return false;
  const auto is_list = [&](const char* key) {
    return document.contains(key) && document[key].is_array();
  };
  return is_list("products") && is_list("copies");
}

Result<CalibrationFit> fit_kernels(std::string_view text, const std::string& file,
                                   const std::string& accelerator) {
  const json document = json::parse(text, nullptr, false);
  const std::string name = accelerator.empty() ? text_in(document, "accelerator") : accelerator;
  const topology::AcceleratorKind* kind = accelerator_named(name);
  if (kind == nullptr)
    return failure({file, 1, 1}, fmt::format("no accelerator '{}' is in the catalogue", name),
                   "say it: --accelerator h100-sxm5-80gb");
  const auto precision = precision_named(text_in(document, "precision"));
  if (!precision || !kind->peak.contains(*precision))
    return failure({file, 1, 1},
                   fmt::format("the catalogue has no rate of {} in precision '{}'", name,
                               text_in(document, "precision")),
                   "say on which accelerator it ran: --accelerator h100-sxm5-80gb");
  std::string why;
  const auto curves = curves_in(document, why);
  if (!curves) return failure({file, 1, 1}, why, "run railwright-worker kernels --json FILE again");
  if (why = too_little(*curves); !why.empty())
    return failure({file, 1, 1}, why, "run railwright-worker kernels --json FILE again");
  const double ranks = number_in(document, "ranks");
  const std::string what =
      fmt::format("kernels: {} in {} by {}, {:.0f} rank{}", name, text_in(document, "precision"),
                  text_in(document, "processor"), ranks, ranks == 1 ? "" : "s");
  CalibrationFit fit = Fit(*curves, *kind, *precision).run(fmt::format("{}: {}", file, what));
  fit.what = what;
  return fit;
}

}  // namespace railwright::coordinator
