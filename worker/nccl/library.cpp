#include "worker/nccl/library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>

namespace railwright::worker::nccl {
namespace {

constexpr int oldest_version = 21400;  // ncclConfig_t::blocking

std::vector<std::string> names_of(const std::string& given, const char* variable,
                                  std::vector<std::string> usual) {
  if (!given.empty()) return {given};
  const char* from_environment = std::getenv(variable);
  if (from_environment != nullptr && *from_environment != '\0') return {from_environment};
  return usual;
}

// Never unloaded: CUDA has threads of its own.
void* open_first(const std::vector<std::string>& names, std::string& why) {
  for (const std::string& name : names) {
    if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL)) return library;
    const char* said = dlerror();
    if (why.empty() && said != nullptr) why = said;
  }
  return nullptr;
}

template <class Function>
void find(void* library, const char* name, Function& function, std::string& missing) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", name);
}

tl::unexpected<Errors> no_library(const char* what, const std::string& why, const char* variable,
                                  const char* package) {
  return failure({}, fmt::format("backend nccl: {} cannot be loaded: {}", what, why),
                 fmt::format("install {}, or name the file in {}; without it take --backend p2p",
                             package, variable));
}

}  // namespace

Result<Library> load_library(const NcclLibraries& libraries) {
  std::string why;
  void* cuda = open_first(names_of(libraries.cudart, "RAILWRIGHT_CUDART_LIBRARY",
                                   {"libcudart.so", "libcudart.so.13", "libcudart.so.12"}),
                          why);
  if (cuda == nullptr)
    return no_library("CUDA's runtime", why, "RAILWRIGHT_CUDART_LIBRARY", "the CUDA toolkit");
  void* nccl = open_first(
      names_of(libraries.nccl, "RAILWRIGHT_NCCL_LIBRARY", {"libnccl.so.2", "libnccl.so"}), why);
  if (nccl == nullptr) return no_library("NCCL", why, "RAILWRIGHT_NCCL_LIBRARY", "NCCL (libnccl2)");
  Library library;
  std::string missing;
#define RAILWRIGHT_FIND(name) find(cuda, #name, library.name, missing);
  RAILWRIGHT_CUDA_FUNCTIONS(RAILWRIGHT_FIND)
#undef RAILWRIGHT_FIND
  find(nccl, "ncclGetVersion", library.ncclGetVersion, missing);
  // First the version: what an old one lacks says less than its number.
  if (library.ncclGetVersion != nullptr) library.ncclGetVersion(&library.version);
  if (library.version > 0 && library.version < oldest_version)
    return failure(
        {},
        fmt::format("backend nccl: NCCL {}.{}.{} is too old: non-blocking communicators "
                    "came with 2.14",
                    library.version / 10000, library.version / 100 % 100, library.version % 100),
        "install NCCL 2.14 or later; without it take --backend p2p");
#define RAILWRIGHT_FIND(name) find(nccl, #name, library.name, missing);
  RAILWRIGHT_NCCL_FUNCTIONS(RAILWRIGHT_FIND)
#undef RAILWRIGHT_FIND
  if (!missing.empty())
    return failure({}, fmt::format("backend nccl: the libraries lack {}", missing),
                   "install matching versions of CUDA and NCCL; without them take --backend p2p");
  std::string ignored;
  find(nccl, "ncclCommInitRankScalable", library.ncclCommInitRankScalable, ignored);
  return library;
}

}  // namespace railwright::worker::nccl
