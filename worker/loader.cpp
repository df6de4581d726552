#include "worker/loader.hpp"

#include <cstdlib>

namespace railwright::worker {

void* open_first(const std::vector<std::string>& names, std::string& why) {
  for (const std::string& name : names) {
    if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL)) return library;
    const char* said = dlerror();
    if (why.empty() && said != nullptr) why = said;
  }
  return nullptr;
}

void* open_library(const char* variable, std::vector<std::string> usual, std::string& why) {
  const char* named = std::getenv(variable);
  if (named != nullptr && *named != '\0') usual = {named};
  return open_first(usual, why);
}

}  // namespace railwright::worker
