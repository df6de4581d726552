// TLS by real sockets: who is believed, and who is not.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "coordinator/wire/certificates.hpp"
#include "running_coordinator.hpp"

using namespace railwright::coordinator;
using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

constexpr wire::Validity expired = {std::chrono::hours(-48), std::chrono::hours(-24)};

struct Certificates {
  Certificates(const Folder& folder, const std::string& name, wire::Validity validity = {},
               const std::string& host = "127.0.0.1")
      : path(folder.file(name)) {
    REQUIRE(wire::make_dev_certificates(path, {"localhost", host}, validity));
  }
  std::vector<std::string> server() const {
    return {"--tls-cert=" + path + "/server.pem", "--tls-key=" + path + "/server.key"};
  }
  wire::ClientTls client() const {
    return {path + "/ca.pem", path + "/client.pem", path + "/client.key", false};
  }
  wire::ClientTls authority() const { return {path + "/ca.pem", {}, {}, false}; }
  std::string path;
};

std::string error_of(RunningCoordinator& service, const wire::ClientTls& tls) {
  const auto answer = ask_coordinator({service.access.address, {}, tls}, "GET", "/healthz");
  return answer ? "status " + std::to_string(answer->status) : to_string(answer.error());
}

}  // namespace

TEST_CASE("certificates for trying out are for their user only, and are not overwritten") {
  const Folder folder;
  const std::string path = folder.file("certs");
  CHECK(run_command("coordinator --make-dev-certs " + path).status == 0);
  for (const std::string name : {"ca", "server", "client"})
    for (const std::string ending : {".pem", ".key"}) {
      struct stat about {};
      REQUIRE(stat((path + "/" + name + ending).c_str(), &about) == 0);
      CHECK((about.st_mode & 0777) == 0600);
    }
  const std::string before = read_text(path + "/server.key");
  CHECK(run_command("coordinator --make-dev-certs " + path).status == 2);
  CHECK(read_text(path + "/server.key") == before);
}

TEST_CASE("over TLS jobs are submitted and led; plain and unknown clients are refused") {
  const Folder folder;
  const Certificates ours(folder, "ours"), others(folder, "others");
  RunningCoordinator service(folder, ours.server());
  service.access.tls = ours.authority();
  CHECK(service.ask("GET", "/healthz").status == 200);

  CHECK_THAT(error_of(service, others.authority()), Contains("certificate verify failed"));
  CHECK(service.counts("http_refused_total{reason=\"handshake\"}", 1));
  CHECK_THAT(service.log(), Contains("refused HTTP of 127.0.0.1:") && Contains("handshake"));
  CHECK_THAT(error_of(service, {}), Contains("status 403"));
  CHECK(service.counts("http_refused_total{reason=\"plain\"}", 1));
  const Socket leader(service.port);
  leader.send(wire::encode(wire::Hello{"a", 1, "b", "c"}));
  CHECK(leader.is_closed_within(5));
  CHECK(service.counts("frames_refused_total{reason=\"plain\"}", 1));
  const Socket garbage(service.port);
  garbage.send("\x16garbage instead of a handshake");
  garbage.receive_all(5);
  CHECK(service.counts("http_refused_total{reason=\"handshake\"}", 2));

  // The leader believes the certificate that the coordinator has put into its data.
  const std::string client =
      "--coordinator " + service.access.address + " --ca " + ours.path + "/ca.pem ";
  CHECK(run_command("submit --model tiny-gpt --accelerators 2 --global-batch 4 --sequence 64 "
                    "--fix dp=2 --steps 2 --emulated --id secret " +
                    client)
            .status == 0);
  CHECK(run_command("wait secret --timeout 120 " + client).status == 0);
}

TEST_CASE("an expired or a foreign certificate of the server is not believed") {
  const Folder folder;
  const Certificates old(folder, "old", expired);
  RunningCoordinator service(folder, old.server());
  CHECK_THAT(error_of(service, old.authority()), Contains("certificate verify failed"));
  const Folder other;
  const Certificates elsewhere(other, "elsewhere", {}, "192.0.2.1");
  RunningCoordinator abroad(other, elsewhere.server());
  CHECK_THAT(error_of(abroad, elsewhere.authority()), Contains("certificate verify failed"));
}

TEST_CASE("clients that must show a certificate show a valid one of the right CA") {
  const Folder folder;
  const Certificates ours(folder, "ours"), others(folder, "others"), old(folder, "old", expired);
  auto options = ours.server();
  // Believes the CA of the expired client too, so that only its time is wrong.
  options.push_back(
      "--tls-client-ca=" +
      folder.write("cas.pem", read_text(ours.path + "/ca.pem") + read_text(old.path + "/ca.pem")));
  RunningCoordinator service(folder, options);
  const auto showing = [&](const Certificates& certificates) {
    wire::ClientTls tls = certificates.client();
    tls.ca = ours.path + "/ca.pem";
    return error_of(service, tls);
  };
  service.access.tls = ours.client();
  CHECK(showing(ours) == "status 200");
  CHECK(error_of(service, ours.authority()) == "status 403");
  CHECK(service.counts("http_refused_total{reason=\"certificate\"}", 1));
  CHECK_THAT(showing(others), Contains("no coordinator answers"));
  CHECK_THAT(showing(old), Contains("no coordinator answers"));
  CHECK(service.counts("http_refused_total{reason=\"handshake\"}", 2));

  // Leaders are known by the token of their launch.
  const std::string body = R"({"id": "led", "model": "tiny-gpt", "accelerators": 1, "steps": 1,
      "global_batch": 4, "sequence": 64, "emulated": true})";
  CHECK(service.ask("POST", "/api/v1/jobs", body).status == 201);
  CHECK(within(120, [&] {
    return nlohmann::json::parse(service.ask("GET", "/api/v1/jobs/led").body)["state"] == "done";
  }));
}

TEST_CASE("a key that others can read or that is another's is refused") {
  const Folder folder;
  const Certificates ours(folder, "ours"), others(folder, "others");
  const auto start = [&](const std::string& key) {
    return run_command("coordinator --cluster localhost --listen 127.0.0.1:0 --data " +
                       folder.file("data") + " --tls-cert " + ours.path + "/server.pem --tls-key " +
                       key);
  };
  const Outcome foreign = start(others.path + "/server.key");
  CHECK(foreign.status == 2);
  CHECK_THAT(foreign.err, Contains("is not the key of"));
  CHECK_FALSE(std::filesystem::exists(folder.file("data")));
  chmod((ours.path + "/server.key").c_str(), 0644);
  CHECK_THAT(start(ours.path + "/server.key").err, Contains("chmod 600"));
  CHECK_THAT(start(folder.file("nothing")).err, Contains("is no private key"));
}
