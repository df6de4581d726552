// Where the headers of CUDA and NCCL were not found: the backend can only say so.
#include "worker/nccl/nccl_backend.hpp"

namespace railwright::worker {

Result<std::unique_ptr<Backend>> make_nccl_backend(Transport&, const NcclPlace&,
                                                   const NcclLibraries&,
                                                   std::span<const collectives::Schedule>) {
  return failure(
      {}, "backend nccl: this build has no NCCL",
      "build where cuda_runtime_api.h and nccl.h are found (RAILWRIGHT_NCCL=ON says what "
      "is missing); without them take --backend p2p");
}

}  // namespace railwright::worker
