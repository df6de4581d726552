#include "coordinator/service/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "coordinator/service/dispatch.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

constexpr const char* outcome_names[] = {"completed", "failed", "lost", "stopped"};

}  // namespace

const char* to_string(Outcome outcome) { return outcome_names[static_cast<std::size_t>(outcome)]; }

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code failed;
  if (!file || std::filesystem::is_directory(path, failed)) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

bool write_file(const std::string& path, const std::string& text) {
  const std::string beside = path + ".new";
  const int file = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return false;
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = write(file, text.data() + done, text.size() - done);
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  const bool whole = done == text.size() && fsync(file) == 0;
  close(file);
  return whole && std::rename(beside.c_str(), path.c_str()) == 0;
}

std::string why_no_room(const std::string& folder) {
  constexpr std::uint64_t least_mib = 16;
  std::error_code failed;
  const auto space = std::filesystem::space(folder, failed);
  if (failed || space.available >> 20 >= least_mib) return {};
  return fmt::format("the disk of {} is full: {} MiB are left, {} are needed", folder,
                     space.available >> 20, least_mib);
}

bool same_secret(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

std::optional<std::pair<std::string, Identity>> read_identity(const std::string& path) {
  const Json document = Json::parse(read_file(path).value_or(""), nullptr, false);
  try {
    const Identity process{document.at("pid").get<pid_t>(),
                           document.at("started").get<std::uint64_t>(),
                           document.at("boot").get<std::string>()};
    return std::pair(document.at("leader").get<std::string>(), process);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

bool write_identity(const std::string& path, const std::string& name, const Identity& process) {
  const Json document = {
      {"leader", name}, {"pid", process.pid}, {"started", process.started}, {"boot", process.boot}};
  return write_file(path, document.dump());
}

std::optional<Ended> read_end(const std::string& path) {
  const auto text = read_file(path);
  const Json document = Json::parse(text.value_or(""), nullptr, false);
  if (!document.is_object()) return std::nullopt;
  try {
    Ended end;
    end.id = document.at("id").get<std::string>();
    end.epoch = document.at("epoch").get<int>();
    end.leader = document.at("leader").get<std::string>();
    end.outcome = static_cast<Outcome>(document.at("outcome").get<unsigned>() % 4);
    end.failure = static_cast<Failure>(document.at("failure").get<unsigned>() % 5);
    end.steps_done = document.at("steps_done").get<std::int64_t>();
    end.reason = document.at("reason").get<std::string>();
    end.lost_rank = document.value("lost_rank", -1);
    return end;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

Result<void> write_end(const std::string& path, const Ended& end) {
  Json document = {{"id", end.id},
                   {"epoch", end.epoch},
                   {"leader", end.leader},
                   {"outcome", static_cast<unsigned>(end.outcome)},
                   {"outcome_name", to_string(end.outcome)},
                   {"failure", static_cast<unsigned>(end.failure)},
                   {"steps_done", end.steps_done},
                   {"reason", end.reason}};
  if (end.lost_rank >= 0) document["lost_rank"] = end.lost_rank;
  if (write_file(path, document.dump())) return {};
  return failure({path}, "cannot be written");
}

}  // namespace railwright::coordinator
