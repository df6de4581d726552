#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "topology/files/tree.hpp"

namespace railwright::topology {
namespace {

using Kind = DocumentNode::Kind;

// What our reader refuses although it is YAML; thrown because nothing else stops yaml-cpp's parser,
// and caught in read_yaml.
struct Refused {
  YAML::Mark mark;
  std::string message, hint;
};

// Listens to yaml-cpp's parser instead of loading YAML::Node: a Node forgets where keys are, keeps
// the first of two equal keys in silence, and expands aliases into exponential walks.
class Listener : public YAML::EventHandler {
 public:
  TreeBuilder tree;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    scalar(mark, anchor, Kind::null, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_alias(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (is_tag(tag)) refuse_tag(mark);
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
  static void refuse_alias(const YAML::Mark& mark) {
    throw Refused{mark, "anchors and aliases are not supported", "write the value out"};
  }
  static void refuse_tag(const YAML::Mark& mark) {
    throw Refused{mark, "tags are not supported", "leave it out"};
  }
  static bool is_tag(const std::string& tag) { return tag != "?" && tag != "!" && !tag.empty(); }
  void scalar(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind, std::string text) {
    if (anchor != YAML::NullAnchor) refuse_alias(mark);
    const std::string refused = tree.scalar(kind, mark.line + 1, mark.column + 1, std::move(text));
    if (!refused.empty()) throw Refused{mark, refused, ""};
  }
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Kind kind) {
    if (anchor != YAML::NullAnchor) refuse_alias(mark);
    if (is_tag(tag)) refuse_tag(mark);
    const std::string refused = tree.open(kind, mark.line + 1, mark.column + 1);
    if (!refused.empty()) throw Refused{mark, refused, ""};
  }
};

Place place_at(const YAML::Mark& mark, const std::string& file) {
  const bool known = mark.line >= 0;
  return {file, known ? mark.line + 1 : 0, known ? mark.column + 1 : 0};
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
  } catch (const Refused& refused) {
    errors.push_back({place_at(refused.mark, file), refused.message, refused.hint});
  } catch (const YAML::Exception& error) {
    errors.push_back({place_at(error.mark, file), "not valid YAML: " + error.msg, ""});
  } catch (const std::exception& error) {
    errors.push_back({{file, 0, 0}, std::string("not valid YAML: ") + error.what(), ""});
  }
  return std::nullopt;
}

}  // namespace railwright::topology
