#include "worker/shm/mpi_segments.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "topology/quantity.hpp"

namespace railwright::worker {
namespace {

// The text value of a control variable, or empty where this MPI has none of that name.
std::string control_variable(const char* name) {
  int provided = 0, index = 0, count = 0;
  if (MPI_T_init_thread(MPI_THREAD_SINGLE, &provided) != MPI_SUCCESS) return {};
  std::string text;
  MPI_T_cvar_handle handle;
  if (MPI_T_cvar_get_index(name, &index) == MPI_SUCCESS &&
      MPI_T_cvar_handle_alloc(index, nullptr, &handle, &count) == MPI_SUCCESS) {
    std::vector<char> value(static_cast<std::size_t>(count) + 1, '\0');
    if (MPI_T_cvar_read(handle, value.data()) == MPI_SUCCESS) text = value.data();
    MPI_T_cvar_handle_free(&handle);
  }
  MPI_T_finalize();
  return text;
}

// What MPI puts beside the segments, and what others may take meanwhile.
constexpr std::uint64_t spare = 16u << 20;

Errors shortage(Bytes needed) {
  const std::string directory = shared_memory_directory();
  struct statvfs store = {};
  if (statvfs(directory.c_str(), &store) != 0) return {};  // no file system: nothing to look at
  const Bytes free = {static_cast<std::uint64_t>(store.f_bavail) * store.f_frsize};
  if (needed.count + spare <= free.count) return {};
  return {{{},
           fmt::format("no shared memory left: {} has {} free, the ranks of this machine need {}",
                       directory, railwright::to_string(free), railwright::to_string(needed)),
           "free or enlarge it, use smaller sizes, or take --backend p2p"}};
}

Bytes whole_pages(Bytes size) {
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return {(size.count + page - 1) / page * page};
}

struct Window {
  explicit Window(MPI_Win made) : window(made) { MPI_Win_lock_all(MPI_MODE_NOCHECK, window); }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  ~Window() {
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
  }
  MPI_Win window;
};

MPI_Win allocate(MPI_Comm node, Bytes each, std::byte*& own) {
  MPI_Info info;
  MPI_Info_create(&info);
  MPI_Info_set(info, "alloc_shared_noncontig", "true");
  MPI_Win window = MPI_WIN_NULL;
  MPI_Comm_set_errhandler(node, MPI_ERRORS_RETURN);
  if (MPI_Win_allocate_shared(static_cast<MPI_Aint>(each.count), 1, info, node, &own, &window) !=
      MPI_SUCCESS)
    window = MPI_WIN_NULL;
  MPI_Info_free(&info);
  return window;
}

bool everywhere(MPI_Comm node, bool here) {
  int mine = here, all = 0;
  MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, node);
  return all != 0;
}

}  // namespace

std::string shared_memory_directory() {
  const std::string directory = control_variable("osc_sm_backing_directory");
  return directory.empty() ? "/dev/shm" : directory;
}

Result<Segments> make_mpi_segments(MPI_Comm node, std::vector<int> ranks, Bytes each) {
  each = whole_pages(each);
  Segments segments{std::move(ranks), 0, {}, nullptr};
  MPI_Comm_rank(node, &segments.index);
  std::uint64_t all = 0;
  MPI_Allreduce(&each.count, &all, 1, MPI_UINT64_T, MPI_SUM, node);
  const Errors errors = shortage({all});
  if (!everywhere(node, errors.empty()))
    return tl::unexpected(errors.empty() ? Errors{{{}, "no shared memory left", "see above"}}
                                         : errors);
  std::byte* own = nullptr;
  const MPI_Win window = allocate(node, each, own);
  if (!everywhere(node, window != MPI_WIN_NULL))
    return failure({}, "MPI made no shared window", "take --backend p2p");
  segments.mapping = std::make_shared<Window>(window);
  for (int peer = 0; peer < static_cast<int>(segments.ranks.size()); ++peer) {
    MPI_Aint size = 0;
    int unit = 0;
    std::byte* base = nullptr;
    MPI_Win_shared_query(window, peer, &size, &unit, &base);
    segments.memory.emplace_back(base, static_cast<std::size_t>(size));
  }
  std::memset(own, 0, each.count);
  MPI_Barrier(node);
  return segments;
}

}  // namespace railwright::worker
