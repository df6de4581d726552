// What the listener refuses, by real sockets: it says why, counts it, logs it and goes on.
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <iostream>
#include <sstream>
#include <thread>

#include "coordinator/service/access.hpp"
#include "coordinator/service/request.hpp"
#include "coordinator/service/traffic.hpp"
#include "running_coordinator.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

std::string with_byte(std::string bytes, std::size_t index, int value) {
  bytes[index] = static_cast<char>(value);
  return bytes;
}

const wire::Hello hello = {"nobody", 1, "a-leader", "a-token"};

}  // namespace

TEST_CASE("bytes that are no request are refused, and the service goes on") {
  const Folder folder;
  const RunningCoordinator service(folder);
  const auto answer_to = [&](const std::string& bytes) {
    const Socket socket(service.port);
    socket.send(bytes);
    return socket.receive_all(20);
  };
  CHECK_THAT(answer_to("garbage\r\n\r\n"), Contains("400 Bad Request"));
  CHECK_THAT(answer_to(std::string(64, '\0')), Contains("400 Bad Request"));
  CHECK(service.counts("http_refused_total{reason=\"malformed\"}", 2));
  CHECK(answer_to("\x16\x03\x01").empty());  // a TLS client
  CHECK(service.counts("http_refused_total{reason=\"tls\"}", 1));
  CHECK_THAT(answer_to("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x')),
             Contains("413 Payload Too Large"));
  CHECK_THAT(answer_to("POST /api/v1/jobs HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n"),
             Contains("413 Payload Too Large"));
  CHECK(service.counts("http_refused_total{reason=\"too_large\"}", 2));
  // Found by ./dev fuzz: what came back in the answer was no UTF-8.
  CHECK_THAT(answer_to("GET /\x80 HTTP/1.0\r\n\r\n"), Contains("404 Not Found"));
  CHECK(answer_to("").empty());  // our end stays open until it hangs up
  CHECK(service.ask("GET", "/healthz").status == 200);
  for (const char* method : {"GET", "DELETE"})
    CHECK(service.ask(method, "/api/v1/jobs/nobody").status == 404);
  CHECK(service.counts("http_refused_total{reason=\"job\"}", 2));
  for (const char* reason : {"malformed", "tls", "too_large", "job"})
    CHECK_THAT(service.log(), Contains(std::string(": ") + reason + "\n"));
  CHECK_THAT(service.log(), Contains("refused HTTP of 127.0.0.1:"));
}

TEST_CASE("frames that are none of ours are refused by name, and the service goes on") {
  const Folder folder;
  const RunningCoordinator service(folder);
  const std::string good = wire::encode(hello);
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"magic", with_byte(good, 1, 'x')},
      {"version", with_byte(good, 3, wire::frame_version + 1)},
      {"type", with_byte(good, 4, 99)},
      {"size", with_byte(good, 6, 0xFF)},
      {"payload", with_byte(good, 9, 0xFF)},
      {"order", wire::encode(wire::Heartbeat{1, 2, 3})},
      {"token", good},
  };
  for (const auto& [reason, bytes] : bad) {
    INFO(reason);
    const Socket socket(service.port);
    socket.send(bytes + std::string(1'000, '?'));
    const auto answer = socket.receive();
    REQUIRE(std::holds_alternative<wire::Refused>(answer));
    CHECK(std::get<wire::Refused>(answer).reason == reason);
    CHECK(socket.is_closed_within(5));
    CHECK(service.counts("frames_refused_total{reason=\"" + reason + "\"}", 1));
    CHECK_THAT(service.log(), Contains(": " + reason + "\n"));
  }
  CHECK_THAT(service.log(), Contains("refused frames of 127.0.0.1:"));
  CHECK(service.ask("GET", "/readyz").status == 200);
}

TEST_CASE("who is slow is hung up on after ten seconds, and holds nobody up") {
  const Folder folder;
  const RunningCoordinator service(folder);
  const Socket silent(service.port), request(service.port), frame(service.port);
  request.send("GET /healthz HTTP/1.1\r\nHost: ");
  frame.send(wire::encode(hello).substr(0, 9));
  // A byte every second is as good as none.
  for (int second = 0; second < 9; ++second) {
    CHECK(service.ask("GET", "/healthz").status == 200);
    std::this_thread::sleep_for(std::chrono::seconds(1));
    request.send("x");
    frame.send("x");
  }
  for (const Socket* socket : {&silent, &request, &frame}) CHECK(socket->is_closed_within(5));
  CHECK(service.counts("http_refused_total{reason=\"slow\"}", 2));
  CHECK(service.counts("frames_refused_total{reason=\"slow\"}", 1));
  CHECK_THAT(service.log(), Contains(": slow\n"));
}

TEST_CASE("each reason is logged once a second, however often it is counted") {
  Traffic traffic;
  std::ostringstream log;
  std::streambuf* const before = std::cerr.rdbuf(log.rdbuf());
  for (int i = 0; i < 1'000; ++i) traffic.refuse(Protocol::http, "malformed", "192.0.2.1:1");
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));
  traffic.refuse(Protocol::http, "malformed", "192.0.2.1:1");
  std::cerr.rdbuf(before);
  const std::string text = log.str();
  CHECK(std::count(text.begin(), text.end(), '\n') <= 3);  // a slow thousand may take two seconds
  CHECK_THAT(text, Contains(" before it)\n"));
  CHECK_THAT(traffic.metrics(),
             Contains("railwright_http_refused_total{reason=\"malformed\"} 1001\n"));
}

TEST_CASE("a role may what it may over HTTP, and a wrong token nothing") {
  const Folder folder;
  const std::string tokens = folder.write("tokens",
                                          "read ann 0123456789abcdef-ann\n"
                                          "submit bob 0123456789abcdef-bob\n"
                                          "submit eve 0123456789abcdef-eve\n"
                                          "admin root 0123456789abcdef-root\n");
  chmod(tokens.c_str(), 0600);
  RunningCoordinator service(folder, {"--tokens=" + tokens});
  const auto as = [&](const std::string& name, const std::string& method, const std::string& target,
                      const std::string& body = {}) {
    service.access.token = name.empty() ? "" : "0123456789abcdef-" + name;
    return service.ask(method, target, body).status;
  };
  const std::string jobs = "/api/v1/jobs", node = "/api/v1/nodes/0";
  const auto job = [](const std::string& id) {
    return R"({"id": ")" + id + R"(", "model": "tiny-gpt", "accelerators": 1, "global_batch": 4,)" +
           R"("sequence": 64, "emulated": true})";
  };
  for (const std::string name : {"", "nobody"}) {
    CHECK(as(name, "GET", jobs) == 401);
    CHECK(as(name, "POST", jobs, job("a")) == 401);
    CHECK(as(name, "GET", "/metrics") == 401);
    CHECK(as(name, "GET", "/healthz") == 200);
    CHECK(as(name, "GET", "/readyz") == 200);
  }
  CHECK(as("ann", "GET", jobs) == 200);
  CHECK(as("ann", "GET", "/metrics") == 200);
  CHECK(as("ann", "POST", jobs, job("a")) == 403);
  CHECK(as("bob", "POST", jobs, job("a")) == 201);
  CHECK(as("bob", "POST", jobs, job("b")) == 201);
  CHECK(as("ann", "DELETE", jobs + "/a") == 403);
  CHECK(as("eve", "DELETE", jobs + "/a") == 403);  // it is bob's
  CHECK(as("bob", "DELETE", jobs + "/a") == 200);
  CHECK(as("root", "DELETE", jobs + "/b") == 200);
  CHECK(as("bob", "POST", node, R"({"down": true})") == 403);
  CHECK(as("root", "POST", node, R"({"down": true})") == 200);
  CHECK(service.counts("http_refused_total{reason=\"token\"}", 6));
}

TEST_CASE("a job that no plan can be made for is refused when it is submitted") {
  const topology::Cluster cluster = *topology::load_cluster("dgx-h100-4");
  const auto refused = [&](const std::string& members) {
    const std::string body = R"({"id": "a", "global_batch": 8, "sequence": 64, )" + members + "}";
    const auto spec = job_spec(body, "ann", cluster);
    return spec ? std::string() : spec.error().front().message;
  };
  CHECK(refused(R"("model": "tiny-gpt", "accelerators": 2, "fix": "dp=2")").empty());
  CHECK_THAT(refused(R"("model": "no-such", "accelerators": 2)"), Contains("no-such"));
  CHECK_THAT(refused(R"("model": "tiny-gpt", "accelerators": 2, "precision": "int4")"),
             Contains("int4"));
  CHECK_THAT(refused(R"("model": "tiny-gpt", "accelerators": 2, "fix": "tq=2")"), Contains("tq"));
  CHECK_FALSE(refused(R"("model": "tiny-gpt", "accelerators": 2, "fix": "tp=3")").empty());
  CHECK_FALSE(refused(R"("model": "m", "model_text": "{}", "accelerators": 2)").empty());
}

TEST_CASE("two lines of a file of tokens have two secrets") {
  const Folder folder;
  const std::string path = folder.write("tokens",
                                        "submit ann 0123456789abcdef-one\n"
                                        "submit bob 0123456789abcdef-one\n");
  chmod(path.c_str(), 0600);
  const auto tokens = load_tokens(path);
  REQUIRE_FALSE(tokens);
  CHECK_THAT(tokens.error().front().message, Contains("the secret of a line above"));
}
