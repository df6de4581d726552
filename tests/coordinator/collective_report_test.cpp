#include <catch2/catch.hpp>

#include "command.hpp"
#include "coordinator/chart/chart.hpp"
#include "coordinator/chart/scale.hpp"

using namespace railwright;
using namespace railwright::coordinator;
using namespace railwright::test;
using Catch::Matchers::Contains;

namespace {

const std::string on_dgx = "collective --cluster dgx-h100-4 ";

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

std::string page_of(const std::string& arguments) {
  const Folder folder;
  const Outcome run = run_command(arguments + " --report " + folder.file("r.html"));
  INFO(arguments << "\n" << run.err);
  REQUIRE(run.status == 0);
  return read_text(folder.file("r.html"));
}

}  // namespace

TEST_CASE("the report draws every algorithm, the bound, what is attainable and NCCL's prediction") {
  const std::string page = page_of(on_dgx + "-b 1K -e 1G -f 8 --compare ring,tree,auto");
  CHECK(count_of(page, "<path class=\"line measured c0\"") == 2);  // legend and chart
  CHECK(count_of(page, "<path class=\"line measured c2\"") == 2);
  CHECK(count_of(page, "<path class=\"line solid\"") == 2);
  CHECK(count_of(page, "<path class=\"line dashed\"") == 2);
  CHECK_THAT(page, Contains("bound, which is attainable (500.00 GB/s)") &&
                       Contains("NCCL 2.30&#39;s prediction") && Contains("bus bandwidth (GB/s)") &&
                       Contains("message size (logarithmic)") && Contains("prefers-color-scheme") &&
                       Contains("node0/gpu0-&gt;node0/switch"));
  CHECK(count_of(page, "<tr>") == 1 + 7 * 3);  // head, 7 sizes
}

TEST_CASE("the report needs no other file and runs no script") {
  const std::string page = page_of(on_dgx + "--bytes 1M --ranks 8");
  for (const char* part :
       {"http:", "https:", "src=", "href", "url(", "@import", "<script", "<link"})
    CHECK(page.find(part) == std::string::npos);
}

TEST_CASE("the same request writes the same bytes") {
  const std::string request = on_dgx + "-b 0 -e 1M -f 64 --compare all --group nodes=0-1";
  CHECK(page_of(request) == page_of(request));
}

TEST_CASE("names cannot write into the page") {
  Chart chart{"\"><script>alert('1')</script> & co", "<rate>", {}};
  chart.lines.push_back({"<b>", LineStyle::measured, {{bytes(8), {1e9}, "'>\""}}});
  const std::string text = svg_of(chart) + legend_of(chart);
  for (const char* part : {"<script", "<b>", "<rate>", "'>", "\"><s"})
    CHECK(text.find(part) == std::string::npos);
  CHECK_THAT(text, Contains("&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; co"));
}

TEST_CASE("a size without bytes is in the table and not on the logarithmic axis") {
  const std::string page = page_of(on_dgx + "--bytes 0 --ranks 8");
  CHECK_THAT(page, Contains("no bandwidth to draw") && Contains("<td>0</td>"));
  CHECK(page.find("<svg class=\"chart\"") == std::string::npos);
  CHECK_THAT(page_of(on_dgx + "--bytes 1M --ranks 8"), Contains("<svg class=\"chart\""));
}

TEST_CASE("a report that cannot be written is refused before the work, and leaves nothing") {
  const Folder folder;
  const Outcome run = run_command(on_dgx + "--bytes 1M --report " + folder.file("missing/r.html"));
  CHECK(run.status == 2);
  CHECK(run.out.empty());
  CHECK_THAT(run.err, Contains("missing"));
  CHECK(folder.empty());
  CHECK(run_command(on_dgx + "--bytes 1M --report ''").status == 2);
  const Outcome refused = run_command(on_dgx + "--bytes 1M --algorithm bruck --op send --report " +
                                      folder.file("r.html"));
  CHECK(refused.status == 2);
  CHECK(folder.empty());
}

TEST_CASE("sizes lie on the axis by their logarithm, with few round ticks") {
  const SizeScale scale(bytes(8), gibibytes(16), 0, 310);
  CHECK(scale.at(bytes(8)) == Approx(0));
  CHECK(scale.at(bytes(16)) == Approx(10));
  CHECK(scale.at(gibibytes(16)) == Approx(310));
  CHECK(scale.ticks().size() <= 10);
  CHECK(scale.ticks().front() == bytes(8));
  const SizeScale one(bytes(100), bytes(100), 0, 310);
  CHECK(one.at(bytes(100)) == Approx(155));
}

TEST_CASE("the axis of rates ends at a round number that nothing exceeds") {
  for (const double largest : {0.0, 0.003, 1.0, 47.8, 99.9, 100.0, 500.0, 1799.0, 1e5}) {
    INFO(largest);
    const RateScale scale(gigabytes_per_second(largest), 400, 0);
    const auto ticks = scale.ticks();
    CHECK(ticks.size() >= 5);
    CHECK(ticks.size() <= 11);
    CHECK(ticks.back() >= gigabytes_per_second(largest));
    CHECK(scale.at(ticks.back()) == Approx(0).margin(1e-9));
    CHECK(scale.at(ticks.front()) == Approx(400));
  }
}

TEST_CASE("more lines than colours are told apart by their markers") {
  Chart chart{"t", "rate", {}};
  for (int i = 0; i < 17; ++i)
    chart.lines.push_back({"line" + std::to_string(i),
                           LineStyle::measured,
                           {{bytes(8), gigabytes_per_second(i + 1), "p"}}});
  const std::string svg = svg_of(chart);
  CHECK(count_of(svg, "<circle class=\"mark c0\"") == 1);
  CHECK(count_of(svg, "<rect class=\"mark c0\"") == 1);
  CHECK(count_of(svg, "<path class=\"mark c0\"") == 1);
}
