// bench_leaders [LEADERS] [SECONDS] [tls]: a coordinator of its own with so many running jobs,
// whose leaders all connect from here and ask for their lease once a second. Prints what that costs
// it.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "coordinator/service/access.hpp"
#include "coordinator/service/children.hpp"
#include "coordinator/service/client.hpp"
#include "coordinator/service/files.hpp"
#include "coordinator/store/store.hpp"
#include "coordinator/wire/certificates.hpp"
#include "coordinator/wire/frame.hpp"
#include "coordinator/wire/tls.hpp"

using namespace railwright;
using namespace railwright::coordinator;
namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

const std::string token = "the token of every launch";

std::string id_of(int leader) { return "job-" + std::to_string(leader); }

void prepare(const std::string& data, int leaders) {
  std::filesystem::create_directories(data);
  auto store = Store::open(data + "/coordinator.db");
  control::Job job;
  job.spec.owner = "bench";
  job.spec.request = "{}";
  job.spec.steps = 1'000'000;
  job.state = control::State::running;
  job.epoch = 1;
  job.leader = "leader";
  for (int i = 0; i < leaders; ++i) {
    job.spec.id = id_of(i);
    job.number = i + 1;
    job.nodes = {i, 1};
    std::filesystem::create_directories(data + "/jobs/" + job.spec.id);
    std::ofstream(data + "/jobs/" + job.spec.id + "/token.1") << token;
    if (!store || !store->save({static_cast<std::uint64_t>(i + 1), job})) std::exit(1);
  }
}

pid_t start(const std::string& data, bool secret) {
  Child child;
  const auto programs = std::filesystem::path(own_program()).parent_path();
  child.arguments = {programs / "railwright", "coordinator",
                     std::string("--cluster=") + RAILWRIGHT_BENCH_DIR + "/million-h100.yaml",
                     "--data=" + data, "--listen=127.0.0.1:0"};
  if (secret) {
    if (!wire::make_dev_certificates(data + "/certs", {"127.0.0.1"})) std::exit(1);
    child.arguments.push_back("--tls-cert=" + data + "/certs/server.pem");
    child.arguments.push_back("--tls-key=" + data + "/certs/server.key");
  }
  child.error_path = data + "/log";
  const pid_t pid = *start_child(child);
  while (!read_file(data + "/address")) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return pid;
}

struct Cost {
  double cpu_s = 0;
  double resident_bytes = 0;
};

Cost cost_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line, word;
  std::getline(file, line);
  std::istringstream words(line.substr(line.rfind(')') + 2));
  std::vector<double> fields;
  while (words >> word) fields.push_back(std::atof(word.c_str()));
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return {(fields[11] + fields[12]) / ticks,
          fields[21] * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

struct Measurement {
  std::vector<double> round_trips_s;
  int connected = 0, lost = 0;
  bool measuring = false;
};

template <class Stream>
asio::awaitable<wire::Message> receive(Stream& stream) {
  std::string bytes(wire::header_size, '\0');
  co_await asio::async_read(stream, asio::buffer(bytes), asio::use_awaitable);
  const std::size_t size =
      static_cast<std::uint8_t>(bytes[6]) << 8 | static_cast<std::uint8_t>(bytes[7]);
  bytes.resize(wire::header_size + size);
  co_await asio::async_read(stream, asio::buffer(bytes) + wire::header_size, asio::use_awaitable);
  co_return *wire::decode(bytes).message;
}

template <class Stream>
asio::awaitable<void> beat(Stream& stream, int leader, Measurement& measured) {
  const std::string hello = wire::encode(wire::Hello{id_of(leader), 1, "leader", token});
  co_await asio::async_write(stream, asio::buffer(hello), asio::use_awaitable);
  co_await receive(stream);
  ++measured.connected;
  asio::steady_timer timer(stream.get_executor());
  // Spread over the second, as those of leaders that started one by one are.
  timer.expires_after(std::chrono::microseconds(leader * 617LL % 1'000'000));
  for (std::uint64_t number = 1;; ++number) {
    co_await timer.async_wait(asio::use_awaitable);
    const auto begin = Clock::now();
    const std::string frame = wire::encode(wire::Heartbeat{number, 0, 0});
    co_await asio::async_write(stream, asio::buffer(frame), asio::use_awaitable);
    const wire::Message answer = co_await receive(stream);
    if (answer != wire::Message(wire::Answer{number, wire::Verdict::granted})) ++measured.lost;
    const std::chrono::duration<double> took = Clock::now() - begin;
    if (measured.measuring) measured.round_trips_s.push_back(took.count());
    timer.expires_at(timer.expiry() + std::chrono::seconds(1));
  }
}

asio::awaitable<void> lead(tcp::endpoint place, int leader, asio::ssl::context* tls,
                           Measurement& measured) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  timer.expires_after(std::chrono::milliseconds(tls != nullptr ? 2 * leader : leader / 2));
  co_await timer.async_wait(asio::use_awaitable);
  tcp::socket socket(executor);
  co_await socket.async_connect(place, asio::use_awaitable);
  socket.set_option(tcp::no_delay(true));
  if (tls == nullptr) {
    co_await beat(socket, leader, measured);
  } else {
    asio::ssl::stream<tcp::socket> stream(std::move(socket), *tls);
    co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
    co_await beat(stream, leader, measured);
  }
}

void run_for(asio::io_context& context, double seconds) {
  context.run_for(std::chrono::milliseconds(static_cast<int>(1000 * seconds)));
}

// Of the coordinator's own histogram: the bound that 99 % of the heartbeats are under.
std::string handling_of(const std::string& address, const std::string& ca) {
  const auto answer = ask_coordinator({address, {}, {ca, {}, {}, false}}, "GET", "/metrics");
  if (!answer) return "?";
  std::istringstream lines(answer->body);
  std::vector<std::pair<std::string, double>> buckets;
  const std::string begin = "railwright_heartbeat_handling_seconds_bucket{le=\"";
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(begin))
      buckets.emplace_back(line.substr(begin.size(), line.find('"', begin.size()) - begin.size()),
                           std::atof(line.c_str() + line.rfind(' ')));
  for (const auto& [bound, count] : buckets)
    if (count >= 0.99 * buckets.back().second) return "<= " + bound + " s (99 %)";
  return "?";
}

void measure(const std::string& data, pid_t pid, int leaders, double seconds, bool secret) {
  asio::io_context context(1);
  const std::string address_text = *read_file(data + "/address");
  const auto address = parse_address(address_text);
  const tcp::endpoint place(asio::ip::make_address(address->host),
                            static_cast<unsigned short>(address->port));
  wire::TlsContext tls;
  if (secret) tls = *wire::client_tls({data + "/certificate.pem", {}, {}, true});
  Measurement measured;
  const Cost empty = cost_of(pid);
  for (int i = 0; i < leaders; ++i)
    asio::co_spawn(context, lead(place, i, tls.get(), measured),
                   [&](std::exception_ptr error) { measured.lost += error != nullptr; });
  const auto begin = Clock::now();
  while (measured.connected + measured.lost < leaders &&
         Clock::now() - begin < std::chrono::minutes(2))
    run_for(context, 0.2);
  run_for(context, 3);  // until everybody has its rhythm
  const Cost before = cost_of(pid);
  measured.measuring = true;
  run_for(context, seconds);
  const Cost after = cost_of(pid);
  const auto handling = handling_of(address_text, secret ? data + "/certs/ca.pem" : "");
  auto& trips = measured.round_trips_s;
  std::sort(trips.begin(), trips.end());
  const auto quantile = [&](double q) {
    const auto at = static_cast<std::size_t>(q * static_cast<double>(trips.size() - 1));
    return trips.empty() ? 0 : 1000 * trips[at];
  };
  std::printf(
      "leaders: %d%s, %.0f heartbeats/s: %.2f cores, round trip p50 %.2f ms p99 %.2f ms "
      "max %.1f ms, handled in %s, %.0f bytes per connection, %d lost\n",
      measured.connected, secret ? " over TLS" : "", static_cast<double>(trips.size()) / seconds,
      (after.cpu_s - before.cpu_s) / seconds, quantile(0.5), quantile(0.99), quantile(1),
      handling.c_str(), (after.resident_bytes - empty.resident_bytes) / leaders, measured.lost);
}

}  // namespace

int main(int count, char** words) {
  const int leaders = count > 1 ? std::atoi(words[1]) : 10'000;
  const double seconds = count > 2 ? std::atof(words[2]) : 30;
  const bool secret = count > 3 && std::string(words[3]) == "tls";
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < static_cast<rlim_t>(leaders) + 100) {
    std::fprintf(stderr, "bench_leaders: ulimit -n is %ld\n", static_cast<long>(limit.rlim_max));
    return 1;
  }
  // In memory: preparing is no part of what is measured, and would wait for the disk.
  const bool memory = std::filesystem::exists("/dev/shm");
  std::string data = memory ? "/dev/shm/leaders-XXXXXX" : "/tmp/leaders-XXXXXX";
  if (mkdtemp(data.data()) == nullptr) return 1;
  prepare(data, leaders);
  const pid_t pid = start(data, secret);
  measure(data, pid, leaders, seconds, secret);
  std::fputs(read_file(data + "/log").value_or("").c_str(), stderr);
  kill(pid, SIGTERM);
  waitpid(pid, nullptr, 0);
  std::filesystem::remove_all(data);
  return 0;
}
