#include <nlohmann/json.hpp>

#include "topology/files/tree.hpp"

namespace railwright::topology {
namespace {

using Json = nlohmann::json;
using Kind = DocumentNode::Kind;

// nlohmann's SAX parser checks syntax and unescapes, but says no places. Each of its events stands
// for one token of the text, in order, so a scanner that steps from token to token finds them.
class Listener : public nlohmann::json_sax<Json> {
 public:
  Listener(std::string_view text, const std::string& file, Errors& errors)
      : text_(text), file_(file), errors_(errors) {}
  TreeBuilder tree;

  bool null() override { return scalar(Kind::null, ""); }
  bool boolean(bool value) override { return scalar(Kind::plain, value ? "true" : "false"); }
  bool number_integer(std::int64_t) override { return number(); }
  bool number_unsigned(std::uint64_t) override { return number(); }
  bool number_float(double, const std::string&) override { return number(); }
  bool string(std::string& value) override { return scalar(Kind::quoted, std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool key(std::string& value) override { return scalar(Kind::quoted, std::move(value)); }
  bool start_object(std::size_t) override { return open(Kind::map); }
  bool start_array(std::size_t) override { return open(Kind::list); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    const std::string what = e.what();
    const std::size_t detail = what.find(": ");
    add_error(place_of(text_, position == 0 ? 0 : position - 1, file_),
              "not valid JSON: " + (detail == std::string::npos ? what : what.substr(detail + 2)));
    return false;
  }

 private:
  void add_error(Place place, std::string message) {
    errors_.push_back({std::move(place), std::move(message), ""});
  }
  void step(std::size_t to) {
    for (; at_ < to; ++at_) {
      column_ = text_[at_] == '\n' ? 1 : column_ + 1;
      line_ += text_[at_] == '\n';
    }
  }
  // Moves to the next token and over it; returns its text and leaves its place behind.
  std::string_view next_token() {
    step(std::min(text_.find_first_not_of(" \t\r\n,:", at_), text_.size()));
    start_line_ = line_, start_column_ = column_;
    const std::size_t start = at_;
    std::size_t end = start + 1;
    if (text_[start] == '"') {
      while (text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
      ++end;
    } else if (std::string_view("{}[]").find(text_[start]) == std::string_view::npos) {
      end = std::min(text_.find_first_of(" \t\r\n,:]}", start), text_.size());
    }
    step(end);
    return text_.substr(start, end - start);
  }
  bool accept(const std::string& refused) {
    if (!refused.empty()) add_error({file_, start_line_, start_column_}, refused);
    return refused.empty();
  }
  bool scalar(Kind kind, std::string value) {
    next_token();
    return accept(tree.scalar(kind, start_line_, start_column_, std::move(value)));
  }
  bool number() {
    const std::string_view token = next_token();
    return accept(tree.scalar(Kind::plain, start_line_, start_column_, std::string(token)));
  }
  bool open(Kind kind) {
    next_token();
    return accept(tree.open(kind, start_line_, start_column_));
  }
  bool close() {
    next_token();
    tree.close();
    return true;
  }

  std::string_view text_;
  const std::string& file_;
  Errors& errors_;
  std::size_t at_ = 0;
  int line_ = 1, column_ = 1, start_line_ = 1, start_column_ = 1;
};

std::string_view without_byte_order_mark(std::string_view text) {
  return text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text;
}

}  // namespace

bool is_json(std::string_view text) {
  text = without_byte_order_mark(text);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '[')) return false;
  return Json::accept(text);
}

std::optional<DocumentNode> read_json(std::string_view text, const std::string& file,
                                      Errors& errors) {
  text = without_byte_order_mark(text);
  Listener listener(text, file, errors);
  if (!Json::sax_parse(text, &listener)) return std::nullopt;
  return listener.tree.take();
}

}  // namespace railwright::topology
