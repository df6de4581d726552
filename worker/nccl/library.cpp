#include "worker/nccl/library.hpp"

#include <fmt/format.h>

#include "worker/loader.hpp"

namespace railwright::worker::nccl {
namespace {

constexpr int oldest_version = 21400;  // ncclConfig_t::blocking

void* open_given(const std::string& given, const char* variable, std::vector<std::string> usual,
                 std::string& why) {
  return given.empty() ? open_library(variable, std::move(usual), why) : open_first({given}, why);
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
  void* cuda = open_given(libraries.cudart, "RAILWRIGHT_CUDART_LIBRARY",
                          {"libcudart.so", "libcudart.so.13", "libcudart.so.12"}, why);
  if (cuda == nullptr)
    return no_library("CUDA's runtime", why, "RAILWRIGHT_CUDART_LIBRARY", "the CUDA toolkit");
  void* nccl =
      open_given(libraries.nccl, "RAILWRIGHT_NCCL_LIBRARY", {"libnccl.so.2", "libnccl.so"}, why);
  if (nccl == nullptr) return no_library("NCCL", why, "RAILWRIGHT_NCCL_LIBRARY", "NCCL (libnccl2)");
  Library library;
  std::string missing;
#define RAILWRIGHT_FIND(name) find_function(cuda, #name, library.name, missing);
  RAILWRIGHT_CUDA_FUNCTIONS(RAILWRIGHT_FIND)
#undef RAILWRIGHT_FIND
  find_function(nccl, "ncclGetVersion", library.ncclGetVersion, missing);
  // First the version: what an old one lacks says less than its number.
  if (library.ncclGetVersion != nullptr) library.ncclGetVersion(&library.version);
  if (library.version > 0 && library.version < oldest_version)
    return failure(
        {},
        fmt::format("backend nccl: NCCL {}.{}.{} is too old: non-blocking communicators "
                    "came with 2.14",
                    library.version / 10000, library.version / 100 % 100, library.version % 100),
        "install NCCL 2.14 or later; without it take --backend p2p");
#define RAILWRIGHT_FIND(name) find_function(nccl, #name, library.name, missing);
  RAILWRIGHT_NCCL_FUNCTIONS(RAILWRIGHT_FIND)
#undef RAILWRIGHT_FIND
  if (!missing.empty())
    return failure({}, fmt::format("backend nccl: the libraries lack {}", missing),
                   "install matching versions of CUDA and NCCL; without them take --backend p2p");
  std::string ignored;
  find_function(nccl, "ncclCommInitRankScalable", library.ncclCommInitRankScalable, ignored);
  find_function(nccl, "ncclCommSplit", library.ncclCommSplit, ignored);
  return library;
}

}  // namespace railwright::worker::nccl
