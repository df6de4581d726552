#include "worker/run/counters.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

namespace railwright::worker {
namespace {

namespace fs = std::filesystem;

struct Sysfs {
  fs::path root = fs::temp_directory_path() / ("railwright_sysfs_" + std::to_string(getpid()));
  Sysfs() { fs::create_directories(root); }
  ~Sysfs() { fs::remove_all(root); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text << "\n";
  }
};

TEST_CASE("ports are read with their units, in the order of their names") {
  const Sysfs sysfs;
  sysfs.write("class/net/eth1/statistics/tx_bytes", "7");
  sysfs.write("class/net/eth1/statistics/rx_bytes", "8");
  sysfs.write("class/net/eth1/speed", "-1");
  sysfs.write("class/net/eth0/statistics/tx_bytes", "18446744073709551615");
  sysfs.write("class/net/eth0/statistics/rx_bytes", "2000");
  sysfs.write("class/net/eth0/speed", "100000");
  sysfs.write("class/net/eth0/type", "1");
  sysfs.write("class/net/lo/statistics/tx_bytes", "5");
  sysfs.write("class/net/lo/statistics/rx_bytes", "5");
  sysfs.write("class/net/lo/type", "772");
  sysfs.write("class/net/broken/statistics/tx_bytes", "many");
  sysfs.write("class/infiniband/mlx5_0/ports/1/counters/port_xmit_data", "1000");
  sysfs.write("class/infiniband/mlx5_0/ports/1/counters/port_rcv_data", "250");
  sysfs.write("class/infiniband/mlx5_0/ports/1/rate", "400 Gb/sec (4X NDR)");
  const auto ports = port_counters(sysfs.root);
  REQUIRE(ports.size() == 3);
  CHECK(ports[0].link == "eth0");
  CHECK(ports[0].link_class == "net");
  CHECK(ports[0].source == "measured");
  CHECK(ports[0].transmit_bytes == 18446744073709551615.0);
  CHECK(ports[0].receive_bytes == 2000);
  CHECK(ports[0].capacity_bytes_per_second == 12.5e9);
  CHECK(ports[1].link == "eth1");
  CHECK(ports[1].capacity_bytes_per_second == 0);
  CHECK(ports[2].link == "mlx5_0/1");
  CHECK(ports[2].link_class == "infiniband");
  CHECK(ports[2].transmit_bytes == 4000);
  CHECK(ports[2].receive_bytes == 1000);
  CHECK(ports[2].capacity_bytes_per_second == 50e9);
}

TEST_CASE("a machine without sysfs has no ports") {
  CHECK(port_counters("/no/such/folder").empty());
}

}  // namespace
}  // namespace railwright::worker
