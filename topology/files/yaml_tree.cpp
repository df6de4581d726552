#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "topology/files/tree.hpp"

namespace railwright::topology {
namespace {

using Kind = DocumentNode::Kind;

// Listens to yaml-cpp's parser instead of loading YAML::Node: a Node forgets where keys are, keeps
// the first of two equal keys in silence, and expands aliases into exponential walks. Refusals are
// thrown as the parser's own exception, the only way to stop it, and caught in read_yaml.
class Listener : public YAML::EventHandler {
 public:
  TreeBuilder tree;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    scalar(mark, anchor, Kind::null, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse(mark, alias_refused); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag != "?" && tag != "!" && !tag.empty()) refuse(mark, tag_refused);
    scalar(mark, anchor, tag == "!" ? Kind::quoted : Kind::plain, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::list);
  }
  void OnSequenceEnd() override { tree.close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::map);
  }
  void OnMapEnd() override { tree.close(); }

 private:
  static constexpr const char* alias_refused =
      "anchors and aliases are not supported; write the value out";
  static constexpr const char* tag_refused = "tags are not supported; leave it out";

  [[noreturn]] static void refuse(const YAML::Mark& mark, const std::string& message) {
    throw YAML::ParserException(mark, message);
  }
  void scalar(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind, std::string text) {
    if (anchor != YAML::NullAnchor) refuse(mark, alias_refused);
    const std::string refused = tree.scalar(kind, mark.line + 1, mark.column + 1, std::move(text));
    if (!refused.empty()) refuse(mark, refused);
  }
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Kind kind) {
    if (anchor != YAML::NullAnchor) refuse(mark, alias_refused);
    if (tag != "?" && tag != "!" && !tag.empty()) refuse(mark, tag_refused);
    const std::string refused = tree.open(kind, mark.line + 1, mark.column + 1);
    if (!refused.empty()) refuse(mark, refused);
  }
};

ConfigError syntax_error(const YAML::Exception& error, const std::string& file) {
  const bool placed = error.mark.line >= 0;
  Place place{file, placed ? error.mark.line + 1 : 0, placed ? error.mark.column + 1 : 0};
  const std::size_t hint = error.msg.find("; ");
  if (hint == std::string::npos) return {std::move(place), "not valid YAML: " + error.msg, ""};
  return {std::move(place), error.msg.substr(0, hint), error.msg.substr(hint + 2)};
}

}  // namespace

std::optional<DocumentNode> read_yaml(std::string_view text, const std::string& file,
                                      Errors& errors) {
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Listener listener;
    if (!parser.HandleNextDocument(listener)) return DocumentNode{};
    Listener second;
    if (parser.HandleNextDocument(second)) {
      errors.push_back(
          {{file, 0, 0}, "more than one document", "keep one, without '---' after it"});
      return std::nullopt;
    }
    return listener.tree.take();
  } catch (const YAML::Exception& error) {
    errors.push_back(syntax_error(error, file));
  } catch (const std::exception& error) {
    errors.push_back({{file, 0, 0}, std::string("not valid YAML: ") + error.what(), ""});
  }
  return std::nullopt;
}

}  // namespace railwright::topology
