// --group: which accelerators take part, in words.
//
//   nodes=0-3,7   of these nodes            local=0     with this index inside their node
//   ranks=0-7,16  these accelerators        stride=8    every 8th of what the others leave
//
// They combine: several words, or one with commas ("nodes=0-3,local=0"). Group rank i is the i-th
// accelerator: in the order in which ranks= names them, else ascending.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/topology.hpp"

namespace railwright::coordinator {

// At least two accelerators, all different; errors name --group. `ranks`: only the first so many
// of the group, errors name --ranks.
Result<std::vector<topology::AcceleratorId>> members_of(const std::vector<std::string>& group,
                                                        std::optional<int> ranks,
                                                        const topology::Cluster& cluster);

// --placement: "given" (nothing), "random" (seed 1) or "random:7".
tl::expected<std::optional<std::uint64_t>, ConfigError> parse_placement(std::string_view text);
// The same accelerators in a random order, on every machine the same for a seed.
void shuffle(std::vector<topology::AcceleratorId>& members, std::uint64_t seed);

}  // namespace railwright::coordinator
