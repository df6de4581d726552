// The strict reader of every file of ours: cluster.yaml, faults.yaml, calibration.json, plan.json.
//
// YAML and JSON become one tree whose every value and key knows its line and column. A reader walks
// it with cursors; whatever is wrong is collected, never thrown, so that one run shows all errors
// of a file. Refused everywhere, before a reader sees the tree: duplicate keys, anchors and aliases
// (and with them alias bombs), tags, several documents in one file, nesting deeper than 64,
// anything that is not UTF-8. Numbers keep their source text, so none is rounded on the way.
//
//   Document document = Document::parse(text, "cluster.yaml");
//   Fields fields = document.root().fields();
//   spec.name = fields.require("name").text();                  // missing: an error, ""
//   spec.count = fields.find("count").integer(1, 1000, 1);      // missing: 1
//   spec.rate = fields.require("bandwidth").bandwidth();        // "400 Gb/s"; a bare 400 is
//   refused for (Cursor node : fields.find("nodes").items()) ... fields.finish(); // what nobody
//   asked for is unknown return document.result(std::move(spec));                    // the value,
//   or all errors
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "topology/quantity.hpp"
#include "topology/result.hpp"

namespace railwright::topology {

struct DocumentNode;  // topology/files/tree.hpp
struct DocumentState;
class Fields;

// The words of an enumeration, as they are spelled in files.
template <class T>
using Choices = std::span<const std::pair<std::string_view, T>>;

// A value of the file, or the place where one is missing. Copying is cheap; valid as long as its
// Document. Getters of an absent value return the fallback and say nothing; those of a value of the
// wrong kind return the fallback and record an error with the value's place.
class Cursor {
 public:
  bool present() const { return node_ != nullptr; }
  bool is_null() const;
  bool is_text() const;  // any scalar but null
  bool is_list() const;
  bool is_map() const;
  Place place() const;                               // of the value; absent: of what should hold it
  const std::string& path() const { return path_; }  // "nodes[0].nic.pcie"

  std::string text(std::string fallback = {}) const;  // a number or a bool must be quoted
  std::int64_t integer(std::int64_t low, std::int64_t high, std::int64_t fallback = 0) const;
  std::uint64_t whole(std::uint64_t high = UINT64_MAX, std::uint64_t fallback = 0) const;
  double number(double low, double high, double fallback = 0) const;  // finite, in [low, high]
  bool boolean(bool fallback = false) const;

  // Text with a unit, see quantity.hpp. The hint for a bare number spells the units out.
  Bytes bytes(Bytes fallback = {}) const;
  Bandwidth bandwidth(Bandwidth fallback = {}) const;
  Seconds seconds(Seconds fallback = {}) const;
  FlopRate flop_rate(FlopRate fallback = {}) const;
  Watts watts(Watts fallback = {}) const;
  Dollars dollars(Dollars fallback = {}) const;
  JoulesPerBit joules_per_bit(JoulesPerBit fallback = {}) const;

  // One of the words; the hint offers the closest one, or all.
  template <class T>
  T choice(Choices<T> choices, T fallback) const {
    std::vector<std::string> words;
    for (const auto& [word, value] : choices) words.emplace_back(word);
    const int index = choice_index(words);
    return index < 0 ? fallback : choices[static_cast<std::size_t>(index)].second;
  }

  Fields fields() const;                                        // of a map
  std::vector<Cursor> items() const;                            // of a list
  std::vector<std::pair<std::string, Cursor>> entries() const;  // of a map with free keys, x- too
  std::vector<int> integers(int low, int high) const;           // a list of integers
  std::vector<std::string> texts() const;                       // a list of texts

  // Adds an error or a warning at this place; the message is prefixed with the path.
  void error(const std::string& message, const std::string& hint = {}) const;
  void warn(const std::string& message, const std::string& hint = {}) const;

 private:
  friend class Document;
  friend class Fields;
  Cursor(DocumentState* state, const DocumentNode* node, Place place, std::string path);
  int choice_index(const std::vector<std::string>& words) const;
  template <class T, class Parse>
  T quantity(Parse parse, T fallback) const;

  DocumentState* state_;
  const DocumentNode* node_;
  Place place_;
  std::string path_;
};

// The keys of one map. Keys that start with "x-" are the user's own and always allowed.
class Fields {
 public:
  Cursor find(std::string_view key);     // optional
  Cursor require(std::string_view key);  // missing: an error at the map
  bool has(std::string_view key) const;
  const Cursor& map() const { return map_; }
  // Reports every key that was never asked for, with the closest one that was.
  void finish() const;

 private:
  friend class Cursor;
  explicit Fields(Cursor map) : map_(std::move(map)) {}
  Cursor map_;
  std::vector<std::string> asked_;
};

class Document {
 public:
  // Read as JSON when the name ends in ".json" or the text is well-formed JSON, else as YAML.
  static Document parse(std::string_view text, const std::string& file);
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  Cursor root();          // absent when the text could not be parsed
  bool ok() const;        // no errors so far
  Errors errors() const;  // in the order of their places
  Errors warnings() const;
  template <class T>
  Result<T> result(T value) const {
    if (ok()) return value;
    return tl::unexpected<Errors>(errors());
  }

 private:
  Document();
  std::unique_ptr<DocumentState> state_;
};

// The whole file, at most 64 MiB; errors: not there, a folder, not readable, too large.
Result<std::string> read_text_file(const std::string& path);

// "did you mean 'count'?", or "" when nothing is near.
std::string closest_hint(std::string_view wanted, const std::vector<std::string>& names);

}  // namespace railwright::topology
