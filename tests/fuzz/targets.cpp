#include "targets.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "coordinator/service/files.hpp"
#include "coordinator/service/http_request.hpp"
#include "coordinator/wire/frame.hpp"
#include "topology/topology.hpp"

namespace railwright::test {

using namespace coordinator;

namespace {

void must(bool holds, const char* law) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", law);
  std::abort();
}

const std::string secret = "0123456789abcdef";

// A service on data of its own that has one job, which runs, and starts nothing.
class World {
 public:
  static World& the() {
    static World world;
    return world;
  }
  Dispatch dispatch;
  Traffic traffic;
  Leaders leaders{dispatch, traffic};
  Api api{dispatch, leaders, traffic, {{Role::read, "reader", secret}}, "127.0.0.1:1"};

 private:
  World() : dispatch(opened()) {}
  ~World() { std::filesystem::remove_all(folder()); }
  static std::string folder() {
    static std::string path = [] {
      std::string name = (std::filesystem::temp_directory_path() / "railwright-fuzz-XXXXXX");
      must(mkdtemp(name.data()) != nullptr, "there is room for a folder");
      return name;
    }();
    return path;
  }
  static Dispatch opened() {
    std::filesystem::create_directories(folder() + "/jobs/led");
    write_file(folder() + "/jobs/led/token.1", secret);
    {
      auto store = Store::open(folder() + "/coordinator.db");
      control::Job job;
      job.spec = {"led", "reader", "{}", 1, 1, 1'000'000, 1'000'000};
      job.number = 1;
      job.state = control::State::running;
      job.epoch = 1;
      job.leader = "leader";
      job.nodes = {0, 1};
      must(store && store->save({1, job}), "a job is stored");
    }
    auto cluster = topology::load_cluster("localhost");
    auto dispatch = Dispatch::open({folder(), "localhost"}, std::move(*cluster));
    must(dispatch && dispatch->start(), "a service starts");
    return std::move(*dispatch);
  }
};

void run_frames(const std::string& bytes) {
  const wire::Decoded whole = wire::decode(bytes);
  must(!(whole.message && whole.fault), "a frame is right or wrong");
  if (whole.message) {
    must(whole.used <= bytes.size(), "no more is used than there is");
    must(wire::encode(*whole.message) == bytes.substr(0, whole.used), "there is one way to say it");
  }
  for (std::size_t length = 0; length < std::min<std::size_t>(bytes.size(), 64); ++length) {
    const wire::Decoded part = wire::decode(std::string_view(bytes).substr(0, length));
    must(!part.fault || part.fault == whole.fault, "a fault stays when more comes");
    must(!part.message || part.used == whole.used, "a message stays when more comes");
  }
}

class DeafLine final : public LeaderLine {
 public:
  void send(const wire::Message& message) override {
    must(wire::decode(wire::encode(message)).message == message, "what is sent can be read");
    ++sent;
  }
  void close() override {}
  int sent = 0;
};

void run_leaders(const std::string& bytes) {
  DeafLine line;
  std::string_view rest = bytes;
  for (;;) {
    const wire::Decoded decoded = wire::decode(rest);
    if (!decoded.message) break;
    rest.remove_prefix(decoded.used);
    const int before = line.sent;
    const auto heard = World::the().leaders.hear(line, *decoded.message);
    must(heard.has_value(), "the store holds");
    const bool silent = std::holds_alternative<wire::Done>(*decoded.message);
    must(line.sent > before || silent, "whoever asks is answered");
    if (!*heard) break;
  }
  World::the().leaders.gone(line);
}

void run_http(const std::string& bytes) {
  RequestParser parser;
  set_limits(parser);
  parser.eager(true);
  std::size_t used = 0;
  boost::system::error_code error;
  while (!parser.is_done() && !error && used < bytes.size()) {
    const std::size_t more = parser.put(boost::asio::buffer(bytes) + used, error);
    if (more == 0) break;
    used += more;
  }
  if (error && error != boost::beast::http::error::need_more) refusal_of(error);
  if (!parser.is_done()) return;
  const auto answer = World::the().api.answer(request_of(parser.get()));
  must(answer && answer->status >= 200 && answer->status < 600, "a request has an answer");
  must(World::the().dispatch.control().jobs().size() == 1, "who may read submits nothing");
}

void run_jobs(const std::string& bytes) {
  const auto spec = job_spec(bytes, "reader", World::the().dispatch.cluster());
  if (!spec) return must(!spec.error().empty(), "a refusal says why");
  must(is_name(spec->id) && spec->nodes >= 1 && spec->steps >= 1, "what is taken makes sense");
  must(to_json(request_of(*spec)).dump() == spec->request, "what is stored can be read");
}

std::vector<std::string> frames_corpus() {
  using namespace wire;
  return {encode(Hello{"led", 1, "leader", secret}),
          encode(Heartbeat{1, 2, 3}),
          encode(Report{2, control::Outcome::lost, control::Failure::run, 7, "a worker was lost"}),
          encode(Done{3}),
          encode(Welcome{1'000}),
          encode(Answer{4, Verdict::granted}),
          encode(Command{5, Verb::stop}),
          encode(Refused{"no"})};
}

std::vector<std::string> leaders_corpus() {
  const auto frames = frames_corpus();
  return {frames[0] + frames[1] + frames[1] + frames[3], frames[0] + frames[2], frames[0],
          frames[1], frames[4]};
}

std::vector<std::string> jobs_corpus() {
  return {R"({"id": "a", "model": "tiny-gpt", "accelerators": 1, "global_batch": 4,)"
          R"( "sequence": 64, "steps": 3, "emulated": true})",
          R"({"id": "b", "model": "m", "model_text": "{}", "precision": "fp8", "fix": "dp=2",)"
          R"( "accelerators": 2, "global_batch": 8, "sequence": 1, "least_accelerators": 1,)"
          R"( "retries": 9})",
          R"({"id": 1e999, "accelerators": -9223372036854775808, "colour": [null, "\u0000"]})"};
}

std::vector<std::string> http_corpus() {
  const std::string rights = " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + secret + "\r\n";
  const std::string body = jobs_corpus()[0];
  return {
      "GET /api/v1/jobs" + rights + "\r\n",
      "GET /api/v1/jobs/led" + rights + "\r\n",
      "GET /api/v1/jobs/led/logs?x=1" + rights + "\r\n",
      "GET /metrics" + rights + "\r\n",
      "GET /readyz HTTP/1.0\r\n\r\n",
      "DELETE /api/v1/jobs/led" + rights + "\r\n",
      "POST /api/v1/nodes/0" + rights + "Content-Length: 14\r\n\r\n{\"down\": true}",
      "POST /api/v1/jobs" + rights + "Content-Type: application/json\r\nContent-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body,
      "POST /api/v1/jobs" + rights + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"id\"\r\n0\r\n\r\n"};
}

}  // namespace

std::vector<Target> targets() {
  return {{"frames", frames_corpus(), run_frames},
          {"leaders", leaders_corpus(), run_leaders},
          {"http", http_corpus(), run_http},
          {"jobs", jobs_corpus(), run_jobs}};
}

}  // namespace railwright::test
