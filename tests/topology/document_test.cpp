#include "topology/document.hpp"

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <random>

using namespace railwright;
using namespace railwright::topology;

namespace {

std::string errors_of(const std::string& text, const std::string& file = "f.yaml") {
  return to_string(Document::parse(text, file).errors());
}

std::string read_with(const std::string& text, const std::string& file = "f.yaml") {
  Document document = Document::parse(text, file);
  Fields fields = document.root().fields();
  fields.find("bandwidth").bandwidth();
  fields.find("count").integer(1, 8, 1);
  fields.require("name").text();
  fields.finish();
  return to_string(document.errors());
}

}  // namespace

TEST_CASE("all errors of a file are said at once, in the order of their places") {
  CHECK(read_with("bandwidth: 50 GBps\ncuont: 3\nname: 4\n") ==
        "f.yaml:1:12: error: bandwidth: unknown unit '50 GBps'; write '50 GB/s'\n"
        "f.yaml:2:1: error: unknown key 'cuont'; did you mean 'count'?\n"
        "f.yaml:3:7: error: name: expected a text, found 4; write \"4\"\n");
}

TEST_CASE("a missing key is reported at the map that lacks it") {
  CHECK(read_with("count: 2\n") == "f.yaml:1:1: error: missing key 'name'\n");
}

TEST_CASE("keys that start with x- are the user's own") {
  CHECK(read_with("name: a\nx-owner: {team: [net]}\n").empty());
}

TEST_CASE("duplicate keys are refused in YAML and JSON, where nobody looks too") {
  CHECK(errors_of("a: 1\nb: 2\na: 3\n") ==
        "f.yaml:3:1: error: duplicate key 'a'; it is already given in line 1\n");
  CHECK(errors_of("{\"a\": 1,\n \"x-b\": [{\"q\": 1, \"q\": 2}]}", "f.json") ==
        "f.json:2:19: error: duplicate key 'q'; it is already given in line 2\n");
}

TEST_CASE("JSON values and keys know their places") {
  CHECK(
      read_with("{\"name\": \"a\\\"b\\\\\",\n\t\"bandwidth\": 400,\n\t\"count\": 12}", "f.json") ==
      "f.json:2:15: error: bandwidth: '400' has no unit; write '400 Gb/s' or '400 GB/s'\n"
      "f.json:3:11: error: count: expected an integer from 1 to 8, found '12'\n");
}

TEST_CASE("JSON escapes, tabs and big numbers survive") {
  const std::string text =
      "{\"text\":\t\"\\u00e4\\ud83d\\ude00\\/\\n\", \"big\": 18446744073709551615,"
      " \"small\": -1.25e-3}";
  for (const char* file : {"f.json", "f.yaml"}) {
    Document document = Document::parse(text, file);
    Fields fields = document.root().fields();
    CHECK(fields.find("text").text() == "ä😀/\n");
    CHECK(fields.find("big").whole() == UINT64_MAX);
    CHECK(fields.find("small").number(-1, 1) == -1.25e-3);
    CHECK(to_string(document.errors()).empty());
  }
}

TEST_CASE("bad syntax has a place") {
  CHECK(errors_of("{\"a\": 1,}", "f.json").find("f.json:1:9: error: not valid JSON") == 0);
  CHECK(errors_of("a: [1, 2\n").find("f.yaml:") == 0);
  CHECK(errors_of("a: b: c\n").find("not valid YAML") != std::string::npos);
}

TEST_CASE("aliases, tags, second documents, deep nesting and binary files are refused") {
  CHECK(errors_of("a: &x [1]\nb: [*x, *x]\n") ==
        "f.yaml:1:4: error: anchors and aliases are not supported; write the value out\n");
  CHECK(errors_of("a: !!int 3\n") == "f.yaml:1:4: error: tags are not supported; leave it out\n");
  CHECK(errors_of("a: 1\n---\nb: 2\n").find("more than one document") != std::string::npos);
  const std::string deep(100000, '[');
  CHECK(errors_of("a: " + deep).find("f.yaml:1:") == 0);
  CHECK(errors_of("a: " + std::string(900, '[') + std::string(900, ']')) ==
        "f.yaml:1:67: error: nested deeper than 64\n");
  CHECK(errors_of(deep + std::string(100000, ']'), "f.json").find("deeper") != std::string::npos);
  CHECK(errors_of(std::string("a: \x01\0\xff", 6)).find("not a text file") != std::string::npos);
  CHECK(errors_of("").find("empty") != std::string::npos);
  CHECK(errors_of("# only a comment\n").find("empty") != std::string::npos);
}

TEST_CASE("wrong kinds are told what was expected and found") {
  Document document = Document::parse("a: [1]\nb: {}\nc: \"3\"\nd: yes\ne: red\nf:\n", "f.yaml");
  Fields fields = document.root().fields();
  fields.find("a").text();
  fields.find("b").items();
  fields.find("c").integer(0, 9);
  fields.find("d").boolean();
  static constexpr std::pair<std::string_view, int> colours[] = {{"reed", 1}, {"blue", 2}};
  CHECK(fields.find("e").choice<int>(colours, 7) == 7);
  fields.find("f").seconds();
  CHECK(
      to_string(document.errors()) ==
      "f.yaml:1:4: error: a: expected a text, found a list\n"
      "f.yaml:2:4: error: b: expected a list, found a map\n"
      "f.yaml:3:4: error: c: expected an integer from 0 to 9, found '3'; write it without quotes\n"
      "f.yaml:4:4: error: d: expected true or false, found 'yes'\n"
      "f.yaml:5:4: error: e: unknown choice 'red'; did you mean 'reed'? write one of reed, blue\n"
      "f.yaml:6:1: error: f: expected a number with its unit, found nothing\n");
}

TEST_CASE("a file with thousands of errors lists a hundred") {
  std::string text = "name: a\n";
  for (int i = 0; i < 5000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  Document document = Document::parse(text, "f.yaml");
  document.root().fields().finish();
  CHECK(document.errors().size() == 101);
  CHECK(document.errors().back().message == "more errors follow");
}

TEST_CASE("whatever the bytes are, reading ends and never throws") {
  std::mt19937_64 generator(11);
  const std::string alphabet = "{}[]:,-\"'\\ \n\t#&*!|>%@`?~ab01.e\xc3\xa4u";
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (auto length = generator() % 60; length > 0; --length)
      text += alphabet[generator() % alphabet.size()];
    INFO("seed 11, round " << round << ": " << text);
    CHECK_NOTHROW(read_with(text));
    CHECK_NOTHROW(read_with(text, "f.json"));
  }
}

TEST_CASE("a file that is not there or is a folder is an error with its name") {
  CHECK(to_string(read_text_file("/nowhere/x.yaml").error()) ==
        "/nowhere/x.yaml: error: no such file; check the path\n");
  CHECK(to_string(read_text_file("/").error()) == "/: error: this is a folder, not a file\n");
}

TEST_CASE("the closest names come first and far ones not at all") {
  const std::vector<std::string> names{"h100-sxm5-80gb", "h100-pcie-80gb", "a100-sxm4-80gb",
                                       "nvlink"};
  CHECK(closest_hint("nvlnik", names) == "did you mean 'nvlink'?");
  CHECK(closest_hint("h100", names) == "did you mean 'h100-pcie-80gb' or 'h100-sxm5-80gb'?");
  CHECK(closest_hint("zebra", names).empty());
}

TEST_CASE("the known keys are listed once, however often they were looked up") {
  Document document = Document::parse("zzzzzz: 1\nb: 2\n", "f.yaml");
  Fields fields = document.root().fields();
  for (int i = 0; i < 3; ++i) fields.find("b");
  fields.find("a");
  fields.finish();
  REQUIRE(document.errors().size() == 1);
  CHECK(document.errors()[0].hint == "known keys: b, a");
}
