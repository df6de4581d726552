#include <fmt/format.h>

#include "coordinator/reference/reference.hpp"
#include "coordinator/reference/tree.hpp"
#include "topology/version.hpp"

namespace railwright::coordinator {

namespace {

// What roff would take for its own: backslashes, hyphens of options, dots that begin a line.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool begins_line = out.empty() || out.back() == '\n';
    if (begins_line && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string option_text(const CLI::Option& option) {
  const std::string names =
      option.get_positional() ? option.get_name(true) : joined(spellings(option), ", ");
  const std::string value = option.get_items_expected_max() > 0 && !option.get_positional()
                                ? fmt::format(" \\fI{}\\fR", escaped(option.get_type_name()))
                                : std::string();
  const std::string standard = option.get_default_str().empty()
                                   ? std::string()
                                   : fmt::format(" (default: {})", option.get_default_str());
  return fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", escaped(names), value,
                     escaped(option.get_description() + standard));
}

std::string command_text(const Command& command) {
  std::string text = fmt::format(".SS railwright {}\n{}\n", escaped(joined(command.words, " ")),
                                 escaped(command.app->get_description()));
  for (const CLI::Option* option : command.app->get_options())
    if (!option->get_group().empty() && option->get_name() != "--help")
      text += option_text(*option);
  const std::string footer = command.app->get_footer();
  if (!footer.empty()) text += fmt::format(".PP\n.nf\n{}\n.fi\n", escaped(footer));
  return text;
}

}  // namespace

std::string manual_page(const CLI::App& app) {
  std::string text = fmt::format(
      ".TH RAILWRIGHT 1 \"\" \"railwright {}\" \"User Commands\"\n"
      ".SH NAME\nrailwright \\- {}\n"
      ".SH SYNOPSIS\n.B railwright\n.I command\n[\\fIoptions\\fR]\n"
      ".SH COMMANDS\n",
      tool_version, escaped(app.get_description()));
  for (const Command& command : all_commands(app))
    if (!command.words.empty()) text += command_text(command);
  text +=
      ".SH EXIT STATUS\n0 ok, 1 a run failed, 2 invalid input, 3 nothing fits, 4 a worker was lost "
      "or no coordinator answers.\n"
      ".SH ENVIRONMENT\n.TP\nRAILWRIGHT_COORDINATOR\nHOST:PORT of the coordinator.\n"
      ".TP\nRAILWRIGHT_TOKEN\nThe secret that clients send.\n";
  return text;
}

}  // namespace railwright::coordinator
