#include "topology/document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "topology/files/tree.hpp"

namespace railwright::topology {

using Kind = DocumentNode::Kind;

struct DocumentState {
  std::string file;
  std::optional<DocumentNode> root;
  Errors errors, warnings;
};

namespace {

constexpr std::size_t max_messages = 100;  // of one file; a file with more is not worth listing

void add_message(Errors& messages, ConfigError message) {
  if (messages.size() < max_messages) messages.push_back(std::move(message));
  if (messages.size() == max_messages)
    messages.push_back({{messages.back().place.file, INT32_MAX, 0}, "more errors follow", ""});
}

Errors in_order(Errors messages) {
  std::stable_sort(messages.begin(), messages.end(), [](const auto& a, const auto& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  if (!messages.empty() && messages.back().place.line == INT32_MAX) messages.back().place.line = 0;
  return messages;
}

// "a number", for messages about what was found.
std::string description_of(const DocumentNode& node) {
  switch (node.kind) {
    case Kind::null:
      return "nothing";
    case Kind::list:
      return "a list";
    case Kind::map:
      return "a map";
    case Kind::plain:
    case Kind::quoted:
      break;
  }
  const std::string shown = node.text.size() > 40 ? node.text.substr(0, 37) + "..." : node.text;
  return fmt::format("'{}'", shown);
}

template <class T>
std::optional<T> number_in(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

bool is_boolean(std::string_view text) { return text == "true" || text == "false"; }

// `read` also in nested keys: a duplicate there is wrong even where nobody looks.
void refuse_duplicates(const DocumentNode& node, const std::string& file, Errors& errors) {
  for (const DocumentNode& item : node.items) refuse_duplicates(item, file, errors);
  std::vector<const DocumentEntry*> sorted;
  for (const DocumentEntry& entry : node.entries) {
    refuse_duplicates(entry.value, file, errors);
    sorted.push_back(&entry);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto* a, const auto* b) { return a->key < b->key; });
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i]->key == sorted[i - 1]->key)
      add_message(errors, {{file, sorted[i]->line, sorted[i]->column},
                           fmt::format("duplicate key '{}'", sorted[i]->key),
                           fmt::format("it is already given in line {}", sorted[i - 1]->line)});
}

bool is_json_file(const std::string& file, std::string_view text) {
  return file.ends_with(".json") || is_json(text);
}

}  // namespace

// ---- document

Document::Document() : state_(std::make_unique<DocumentState>()) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Document Document::parse(std::string_view text, const std::string& file) {
  Document document;
  DocumentState& state = *document.state_;
  state.file = file;
  if (const auto bad = first_bad_byte(text)) {
    add_message(state.errors,
                {place_of(text, *bad, file), "not a text file", "it must be UTF-8 YAML or JSON"});
    return document;
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    add_message(state.errors, {{file, 0, 0}, "the file is empty", ""});
    return document;
  }
  state.root = is_json_file(file, text) ? read_json(text, file, state.errors)
                                        : read_yaml(text, file, state.errors);
  if (state.root && state.root->kind == Kind::null) {
    add_message(state.errors, {{file, 0, 0}, "the file is empty", ""});
    state.root.reset();
  }
  if (state.root) refuse_duplicates(*state.root, file, state.errors);
  return document;
}

Cursor Document::root() {
  const DocumentNode* node = state_->root ? &*state_->root : nullptr;
  return {state_.get(), node, {state_->file, node ? node->line : 0, node ? node->column : 0}, ""};
}

bool Document::ok() const { return state_->errors.empty(); }
Errors Document::errors() const { return in_order(state_->errors); }
Errors Document::warnings() const { return in_order(state_->warnings); }

// ---- cursor

Cursor::Cursor(DocumentState* state, const DocumentNode* node, Place place, std::string path)
    : state_(state), node_(node), place_(std::move(place)), path_(std::move(path)) {}

bool Cursor::is_null() const { return node_ && node_->kind == Kind::null; }
bool Cursor::is_text() const {
  return node_ && (node_->kind == Kind::plain || node_->kind == Kind::quoted);
}
bool Cursor::is_list() const { return node_ && node_->kind == Kind::list; }
bool Cursor::is_map() const { return node_ && node_->kind == Kind::map; }
Place Cursor::place() const { return place_; }

void Cursor::error(const std::string& message, const std::string& hint) const {
  add_message(state_->errors, {place_, path_.empty() ? message : path_ + ": " + message, hint});
}
void Cursor::warn(const std::string& message, const std::string& hint) const {
  add_message(state_->warnings, {place_, path_.empty() ? message : path_ + ": " + message, hint});
}

std::string Cursor::text(std::string fallback) const {
  if (!present()) return fallback;
  const bool plain = node_->kind == Kind::plain;
  if (plain && (number_in<double>(node_->text) || is_boolean(node_->text))) {
    error(fmt::format("expected a text, found {}", node_->text),
          fmt::format("write \"{}\"", node_->text));
    return fallback;
  }
  if (is_text()) return node_->text;
  error("expected a text, found " + description_of(*node_));
  return fallback;
}

std::int64_t Cursor::integer(std::int64_t low, std::int64_t high, std::int64_t fallback) const {
  if (!present()) return fallback;
  const auto value =
      node_->kind == Kind::plain ? number_in<std::int64_t>(node_->text) : std::nullopt;
  if (value && *value >= low && *value <= high) return *value;
  error(
      fmt::format("expected an integer from {} to {}, found {}", low, high, description_of(*node_)),
      node_->kind == Kind::quoted && number_in<std::int64_t>(node_->text)
          ? "write it without quotes"
          : "");
  return fallback;
}

std::uint64_t Cursor::whole(std::uint64_t high, std::uint64_t fallback) const {
  if (!present()) return fallback;
  const auto value =
      node_->kind == Kind::plain ? number_in<std::uint64_t>(node_->text) : std::nullopt;
  if (value && *value <= high) return *value;
  error(fmt::format("expected a whole number up to {}, found {}", high, description_of(*node_)));
  return fallback;
}

double Cursor::number(double low, double high, double fallback) const {
  if (!present()) return fallback;
  const auto value = node_->kind == Kind::plain ? number_in<double>(node_->text) : std::nullopt;
  if (value && std::isfinite(*value) && *value >= low && *value <= high) return *value;
  error(
      fmt::format("expected a number from {} to {}, found {}", low, high, description_of(*node_)));
  return fallback;
}

bool Cursor::boolean(bool fallback) const {
  if (!present()) return fallback;
  if (node_->kind == Kind::plain && is_boolean(node_->text)) return node_->text == "true";
  error("expected true or false, found " + description_of(*node_));
  return fallback;
}

template <class T, class Parse>
T Cursor::quantity(Parse parse, T fallback) const {
  if (!present()) return fallback;
  if (!is_text()) {
    error("expected a number with its unit, found " + description_of(*node_));
    return fallback;
  }
  const Parsed<T> parsed = parse(node_->text);
  if (parsed) return *parsed;
  error(parsed.error().message, parsed.error().hint);
  return fallback;
}

Bytes Cursor::bytes(Bytes fallback) const { return quantity(parse_bytes, fallback); }
Bandwidth Cursor::bandwidth(Bandwidth fallback) const {
  return quantity(parse_bandwidth, fallback);
}
Seconds Cursor::seconds(Seconds fallback) const { return quantity(parse_seconds, fallback); }
FlopRate Cursor::flop_rate(FlopRate fallback) const { return quantity(parse_flop_rate, fallback); }
Watts Cursor::watts(Watts fallback) const { return quantity(parse_watts, fallback); }
Dollars Cursor::dollars(Dollars fallback) const { return quantity(parse_dollars, fallback); }
JoulesPerBit Cursor::joules_per_bit(JoulesPerBit fallback) const {
  return quantity(parse_joules_per_bit, fallback);
}

int Cursor::choice_index(const std::vector<std::string>& words) const {
  if (!present()) return -1;
  const auto found = std::find(words.begin(), words.end(), node_->text);
  if (is_text() && found != words.end()) return static_cast<int>(found - words.begin());
  std::string hint = is_text() ? closest_hint(node_->text, words) : "";
  hint += (hint.empty() ? "" : " ") + fmt::format("write one of {}", fmt::join(words, ", "));
  error("unknown choice " + description_of(*node_), hint);
  return -1;
}

Fields Cursor::fields() const {
  if (present() && !is_map()) {
    error("expected a map of keys and values, found " + description_of(*node_));
    return Fields(Cursor(state_, nullptr, place_, path_));
  }
  return Fields(*this);
}

std::vector<Cursor> Cursor::items() const {
  std::vector<Cursor> out;
  if (!present()) return out;
  if (!is_list()) {
    error("expected a list, found " + description_of(*node_));
    return out;
  }
  for (const DocumentNode& item : node_->items)
    out.push_back(Cursor(state_, &item, {state_->file, item.line, item.column},
                         fmt::format("{}[{}]", path_, out.size())));
  return out;
}

std::vector<std::pair<std::string, Cursor>> Cursor::entries() const {
  std::vector<std::pair<std::string, Cursor>> out;
  if (!present()) return out;
  if (!is_map()) {
    error("expected a map of keys and values, found " + description_of(*node_));
    return out;
  }
  for (const DocumentEntry& entry : node_->entries) {
    const DocumentNode& node = entry.value;
    std::string path = path_.empty() ? entry.key : path_ + "." + entry.key;
    out.emplace_back(
        entry.key, Cursor(state_, &node, {state_->file, node.line, node.column}, std::move(path)));
  }
  return out;
}

std::vector<int> Cursor::integers(int low, int high) const {
  std::vector<int> out;
  for (const Cursor& item : items()) out.push_back(static_cast<int>(item.integer(low, high, low)));
  return out;
}

std::vector<std::string> Cursor::texts() const {
  std::vector<std::string> out;
  for (const Cursor& item : items()) out.push_back(item.text());
  return out;
}

// ---- fields

namespace {

const DocumentEntry* entry_of(const DocumentNode* map, std::string_view key) {
  if (!map) return nullptr;
  for (const DocumentEntry& entry : map->entries)
    if (entry.key == key) return &entry;
  return nullptr;
}

}  // namespace

bool Fields::has(std::string_view key) const { return entry_of(map_.node_, key) != nullptr; }

Cursor Fields::find(std::string_view key) {
  if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) asked_.emplace_back(key);
  std::string path = map_.path_.empty() ? std::string(key) : fmt::format("{}.{}", map_.path_, key);
  const DocumentEntry* entry = entry_of(map_.node_, key);
  if (!entry) return {map_.state_, nullptr, map_.place_, std::move(path)};
  const std::string& file = map_.state_->file;
  // "key:" with nothing behind it says nothing about where the value is; the key does.
  const bool null = entry->value.kind == Kind::null;
  Place place{file, null ? entry->line : entry->value.line,
              null ? entry->column : entry->value.column};
  return {map_.state_, &entry->value, std::move(place), std::move(path)};
}

Cursor Fields::require(std::string_view key) {
  Cursor found = find(key);
  if (!found.present() && map_.present()) map_.error(fmt::format("missing key '{}'", key));
  return found;
}

void Fields::finish() const {
  if (!map_.present()) return;
  for (const DocumentEntry& entry : map_.node_->entries) {
    if (entry.key.starts_with("x-")) continue;
    if (std::find(asked_.begin(), asked_.end(), entry.key) != asked_.end()) continue;
    const Cursor key(map_.state_, &entry.value, {map_.state_->file, entry.line, entry.column},
                     map_.path_);
    std::string hint = closest_hint(entry.key, asked_);
    if (hint.empty()) hint = fmt::format("known keys: {}", fmt::join(asked_, ", "));
    key.error(fmt::format("unknown key '{}'", entry.key), hint);
  }
}

}  // namespace railwright::topology
