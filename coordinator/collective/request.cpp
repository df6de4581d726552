#include "coordinator/collective/request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iostream>

#include "coordinator/collective/choice.hpp"
#include "coordinator/collective/group.hpp"
#include "coordinator/training.hpp"

namespace railwright::coordinator {
namespace {

using emulator::Detail;
namespace nccl = collectives::nccl;

constexpr int most_sizes = 1000;
constexpr int most_links_bounded = 2'000'000;  // unasked: beyond, a bound takes some seconds

constexpr std::array<ElementType, 12> element_types{{{"int8", 1},
                                                     {"uint8", 1},
                                                     {"int32", 4},
                                                     {"uint32", 4},
                                                     {"int64", 8},
                                                     {"uint64", 8},
                                                     {"half", 2},
                                                     {"float", 4},
                                                     {"double", 8},
                                                     {"bfloat16", 2},
                                                     {"f8e4m3", 1, true},
                                                     {"f8e5m2", 1, true}}};

void add_error(Errors& errors, const std::string& option, ConfigError error) {
  error.message = option + ": " + error.message;
  errors.push_back(std::move(error));
}

template <class T>
T taken(tl::expected<T, ConfigError> parsed, const std::string& option, Errors& errors) {
  if (parsed) return *parsed;
  add_error(errors, option, std::move(parsed.error()));
  return {};
}

tl::expected<Detail, ConfigError> parse_detail(std::string_view text) {
  if (text == "automatic") return Detail::automatic;
  if (text == "steps") return Detail::steps;
  if (text == "phases") return Detail::phases;
  return tl::unexpected(ConfigError{
      {}, fmt::format("unknown detail '{}'", text), "write automatic, steps or phases"});
}

tl::expected<ElementType, ConfigError> parse_element_type(std::string_view text) {
  std::string names;
  for (const ElementType& type : element_types) {
    if (type.name == text) return type;
    names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  return tl::unexpected(
      ConfigError{{}, fmt::format("unknown type '{}'", text), "write one of " + names});
}

tl::expected<Wanted, ConfigError> parse_wanted(const std::string& word) {
  if (word == "auto") return Wanted{word, Rule::nccl};
  if (word == "best") return Wanted{word, Rule::best};
  auto algorithm = collectives::parse_algorithm(word);
  if (algorithm) return Wanted{to_string(*algorithm), Rule::named, *algorithm};
  algorithm.error().hint += ", auto or best";
  return tl::unexpected(algorithm.error());
}

const nccl::Constants* constants_of(const std::string& version, Errors& errors) {
  if (version.empty()) return &nccl::newest_constants();
  const nccl::Constants* constants = nccl::constants_for(version);
  if (constants == nullptr)
    add_error(errors, "--nccl-version",
              {{},
               fmt::format("nothing is known of NCCL '{}'", version),
               fmt::format("write {} or newer", nccl::all_constants().front().version)});
  return constants;
}

class Reading {
 public:
  explicit Reading(const CollectiveWords& words) : words_(words) {}

  Result<CollectiveRequest> request() {
    request_.operation = taken(workload::parse_operation(words_.operation), "--op", errors_);
    request_.detail = taken(parse_detail(words_.detail), "--detail", errors_);
    request_.type = taken(parse_element_type(words_.data_type), "--datatype", errors_);
    request_.nccl_constants = constants_of(words_.nccl_version, errors_);
    read_sizes();
    read_calibration();
    if (words_.compare != "all") read_wanted();
    read_cluster();
    read_bound();
    if (errors_.empty()) read_root();
    if (errors_.empty() && words_.compare == "all") want_all();
    if (!errors_.empty()) return tl::unexpected(std::move(errors_));
    return std::move(request_);
  }

 private:
  template <class T>
  bool add_errors(const Result<T>& result) {
    if (!result) errors_.insert(errors_.end(), result.error().begin(), result.error().end());
    return !result;
  }

  void add_size(Bytes asked) {
    const std::uint64_t element = request_.type.bytes;
    const MessageSize size{asked, {asked.count / element * element}};
    if (request_.sizes.empty() || request_.sizes.back().sent < size.sent)
      request_.sizes.push_back(size);
  }

  // begin, begin x factor, ... up to the end; after 0 bytes comes one element.
  void read_sweep() {
    const Bytes begin = taken(parse_message_size(words_.begin), "--begin", errors_);
    const Bytes end = taken(parse_message_size(words_.end), "--end", errors_);
    if (!errors_.empty()) return;
    if (end < begin)
      return add_error(errors_, "--end", {{}, "is smaller than --begin", "swap the two"});
    if (!(words_.factor >= 1.001))
      return add_error(errors_, "--factor", {{}, "the sizes would hardly grow", "write 2"});
    request_.factor = words_.factor;
    if (begin.count == 0) add_size({});
    auto size = static_cast<double>(begin.count == 0 ? request_.type.bytes : begin.count);
    for (; size <= static_cast<double>(end.count); size *= words_.factor) {
      add_size({static_cast<std::uint64_t>(size)});
      if (request_.sizes.size() > most_sizes)
        return add_error(errors_, "--factor",
                         {{}, fmt::format("more than {} sizes", most_sizes), "write 2"});
    }
  }

  void read_sizes() {
    const bool begin = !words_.begin.empty(), end = !words_.end.empty();
    if (begin != end || begin != words_.bytes.empty())
      errors_.push_back({{},
                         "one size or one sweep is needed",
                         "write --bytes 1GiB, or --begin 8 --end 16G --factor 2"});
    else if (begin)
      read_sweep();
    else
      add_size(taken(parse_message_size(words_.bytes), "--bytes", errors_));
  }

  void read_calibration() {
    auto calibration = calibration_from(words_.calibration);
    if (!add_errors(calibration)) request_.calibration = std::move(*calibration);
  }

  void add_wanted(const std::string& word, const std::string& option) {
    auto wanted = parse_wanted(word);
    if (!wanted) return add_error(errors_, option, std::move(wanted.error()));
    const bool twice = std::ranges::any_of(
        request_.wanted, [&](const Wanted& other) { return other.word == wanted->word; });
    if (twice)
      return add_error(errors_, option,
                       {{}, fmt::format("{} is named twice", wanted->word), "name each once"});
    request_.wanted.push_back(*wanted);
  }

  void read_wanted() {
    if (words_.compare.empty()) return add_wanted(words_.algorithm, "--algorithm");
    for (std::size_t from = 0; from <= words_.compare.size();) {
      const std::size_t to = std::min(words_.compare.find(',', from), words_.compare.size());
      add_wanted(words_.compare.substr(from, to - from), "--compare");
      from = to + 1;
    }
  }

  void read_cluster() {
    auto cluster = topology::load_cluster(words_.cluster);
    if (add_errors(cluster)) return;
    request_.cluster = std::move(*cluster);
    auto members = members_of(words_.group, words_.ranks, request_.cluster);
    if (!add_errors(members)) request_.members = std::move(*members);
    request_.shuffled = taken(parse_placement(words_.placement), "--placement", errors_);
    if (request_.shuffled) shuffle(request_.members, *request_.shuffled);
    read_faults();
  }

  void read_faults() {
    if (words_.faults.empty()) return;
    auto step =
        emulator::load_faults(words_.faults, request_.cluster).and_then([&](const auto& faults) {
          return emulator::collective_faults(faults, request_.cluster);
        });
    if (add_errors(step)) return;
    request_.faults = std::move(*step);
    if (!request_.faults.accelerators.empty())
      std::cerr << "note: slow accelerators slow a step, not a collective by itself\n";
  }

  void read_bound() {
    request_.bounded =
        words_.bound == "always" ||
        (words_.bound == "automatic" && request_.cluster.graph.links() <= most_links_bounded);
    if (words_.bound != "automatic" && words_.bound != "always" && words_.bound != "never")
      add_error(
          errors_, "--bound",
          {{}, fmt::format("unknown '{}'", words_.bound), "write automatic, always or never"});
  }

  void read_root() {
    if (!words_.root) return;
    request_.root = *words_.root;
    if (!request_.has_root())
      add_error(errors_, "--root",
                {{},
                 fmt::format("{} has no root", to_string(request_.operation)),
                 "leave it out; broadcast and reduce have one"});
    else if (request_.root < 0 || request_.root >= request_.ranks())
      add_error(errors_, "--root",
                {{},
                 fmt::format("{} is no rank of a group of {}", request_.root, request_.ranks()),
                 fmt::format("write 0 to {}", request_.ranks() - 1)});
  }

  void want_all() {
    for (const collectives::Algorithm algorithm : applicable_algorithms(request_))
      request_.wanted.push_back({to_string(algorithm), Rule::named, algorithm});
    if (request_.wanted.empty())
      add_error(errors_, "--compare",
                {{},
                 fmt::format("no algorithm does {} over these {} ranks",
                             to_string(request_.operation), request_.ranks()),
                 "choose fewer --ranks, or --detail phases"});
  }

  const CollectiveWords& words_;
  CollectiveRequest request_;
  Errors errors_;
};

}  // namespace

Result<CollectiveRequest> read_request(const CollectiveWords& words) {
  return Reading(words).request();
}

}  // namespace railwright::coordinator
