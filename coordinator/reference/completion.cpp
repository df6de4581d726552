#include <fmt/format.h>

#include "coordinator/reference/reference.hpp"
#include "coordinator/reference/tree.hpp"

namespace railwright::coordinator {

namespace {

std::string words_below(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::App* sub : listed_commands(app)) words.push_back(sub->get_name());
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : spellings(*option))
      if (!option->get_group().empty() && name.size() > 2) words.push_back(name);
  return joined(words, " ");
}

// "    'topology show') words='...' ;;"
std::string cases(const CLI::App& app) {
  std::string text;
  for (const Command& command : all_commands(app))
    text += fmt::format("    '{}') words='{}' ;;\n", joined(command.words, " "),
                        words_below(*command.app));
  return text;
}

// The longest command that the line begins with: at most two words.
constexpr const char* bash =
    R"(# bash completion of railwright; made by `railwright completion bash`
_railwright() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} command='' words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in -*) break ;; esac
    [ "$i" -gt 2 ] && break
    command+="${{command:+ }}${{COMP_WORDS[i]}}"
  done
  case $command in
{0}    *)
      case ${{command%% *}} in
{1}      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}}
complete -o filenames -F _railwright railwright
)";

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::string first;
  for (const CLI::App* sub : listed_commands(app))
    first += fmt::format("        '{}') words='{}' ;;\n", sub->get_name(), words_below(*sub));
  return fmt::format(bash, cases(app), first);
}

// zsh reads the function of bash: `bashcompinit` is a part of it.
std::string zsh_completion(const CLI::App& app) {
  return "#compdef railwright\nautoload -U +X bashcompinit && bashcompinit\n" +
         bash_completion(app);
}

}  // namespace railwright::coordinator
