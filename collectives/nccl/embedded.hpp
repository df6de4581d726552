// data/nccl/*.json, compiled in.
#pragma once

#include "topology/embedded.hpp"

namespace railwright {

std::span<const EmbeddedFile> embedded_nccl();

}  // namespace railwright
