#include "topology/files/tree.hpp"

#include <algorithm>
#include <cassert>

namespace railwright::topology {

std::string TreeBuilder::add(DocumentNode node, DocumentNode** added) {
  if (open_.empty()) {
    assert(!has_root_);
    has_root_ = true;
    root_ = std::move(node);
    *added = &root_;
    return {};
  }
  DocumentNode& parent = *open_.back();
  if (parent.kind == DocumentNode::Kind::list) {
    *added = &parent.items.emplace_back(std::move(node));
    return {};
  }
  if (!key_) {
    const bool scalar = node.items.empty() && node.entries.empty() &&
                        node.kind != DocumentNode::Kind::list &&
                        node.kind != DocumentNode::Kind::map;
    if (!scalar) return "a key must be a plain word";
    key_ = DocumentEntry{std::move(node.text), node.line, node.column, {}};
    *added = nullptr;
    return {};
  }
  key_->value = std::move(node);
  *added = &parent.entries.emplace_back(std::move(*key_)).value;
  key_.reset();
  return {};
}

std::string TreeBuilder::scalar(DocumentNode::Kind kind, int line, int column, std::string text) {
  DocumentNode* added = nullptr;
  return add({kind, line, column, std::move(text), {}, {}}, &added);
}

std::string TreeBuilder::open(DocumentNode::Kind kind, int line, int column) {
  if (open_.size() >= max_depth) return "nested deeper than 64";
  DocumentNode* added = nullptr;
  std::string refused = add({kind, line, column, {}, {}, {}}, &added);
  if (refused.empty()) open_.push_back(added);
  return refused;
}

namespace {

// Length of the UTF-8 sequence that starts at `i`, 0 when there is none.
std::size_t sequence_length(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(i);
  if (lead == 0) return 0;
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead >= 0xf5 || i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k)
    if ((byte(i + k) & 0xc0) != 0x80) return 0;
  const bool overlong =
      (lead == 0xe0 && byte(i + 1) < 0xa0) || (lead == 0xf0 && byte(i + 1) < 0x90);
  const bool surrogate = lead == 0xed && byte(i + 1) >= 0xa0;
  const bool beyond = lead == 0xf4 && byte(i + 1) >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

std::optional<std::size_t> first_bad_byte(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

Place place_of(std::string_view text, std::size_t offset, const std::string& file) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n');
  const std::size_t newline = before.rfind('\n');
  const std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
  return {file, static_cast<int>(line) + 1, static_cast<int>(before.size() - start) + 1};
}

}  // namespace railwright::topology
