// The tree behind topology/document.hpp, and the two readers that fill it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/result.hpp"

namespace railwright::topology {

struct DocumentEntry;

struct DocumentNode {
  enum class Kind : unsigned char { null, plain, quoted, list, map };
  Kind kind = Kind::null;
  int line = 0, column = 0;
  std::string text;                    // plain and quoted scalars
  std::vector<DocumentNode> items;     // lists
  std::vector<DocumentEntry> entries;  // maps, in the order of the file, duplicates and all
};

struct DocumentEntry {
  std::string key;
  int line = 0, column = 0;
  DocumentNode value;
};

// Builds a tree from the events of a parser. Only the innermost open list or map grows, so pointers
// to the open ones stay valid.
class TreeBuilder {
 public:
  static constexpr std::size_t max_depth = 64;

  // Each returns a message when the event is refused, else "".
  std::string scalar(DocumentNode::Kind kind, int line, int column, std::string text);
  std::string open(DocumentNode::Kind kind, int line, int column);
  void close() { open_.pop_back(); }
  DocumentNode take() { return std::move(root_); }

 private:
  std::string add(DocumentNode node, DocumentNode** added);

  DocumentNode root_;
  bool has_root_ = false;
  std::vector<DocumentNode*> open_;
  std::optional<DocumentEntry> key_;  // read, its value not yet
};

// Syntax errors go to `errors`; the tree is then nothing.
std::optional<DocumentNode> read_yaml(std::string_view text, const std::string& file,
                                      Errors& errors);
std::optional<DocumentNode> read_json(std::string_view text, const std::string& file,
                                      Errors& errors);
bool is_json(std::string_view text);
// The offset of the first byte that is not UTF-8 text (or is NUL), or nothing.
std::optional<std::size_t> first_bad_byte(std::string_view text);
// Line and column of a byte offset, from 1.
Place place_of(std::string_view text, std::size_t offset, const std::string& file);

}  // namespace railwright::topology
