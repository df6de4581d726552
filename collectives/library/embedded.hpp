// data/servers.csv, compiled in.
#pragma once

#include "topology/embedded.hpp"

namespace railwright {

std::span<const EmbeddedFile> embedded_servers();

}  // namespace railwright
