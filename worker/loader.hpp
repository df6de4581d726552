// Libraries that are found when the program runs, and their functions.
#pragma once

#include <dlfcn.h>

#include <string>
#include <vector>

namespace railwright::worker {

// The one that the environment's `variable` names, else the first of `usual` that there is; null
// with the loader's words in `why`. Never unloaded: CUDA has threads of its own.
void* open_library(const char* variable, std::vector<std::string> usual, std::string& why);
void* open_first(const std::vector<std::string>& names, std::string& why);

// A function that is not there is added to `missing`.
template <class Function>
void find_function(void* library, const char* name, Function& function, std::string& missing) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) missing += (missing.empty() ? "" : ", ") + std::string(name);
}

}  // namespace railwright::worker
