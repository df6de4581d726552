// The pairing of Swing on a torus, which Bine's all-reduce shares.
#pragma once

#include "collectives/algorithms/butterflies/butterfly.hpp"

namespace railwright::collectives::swing {

// Partners at distances 1, -1, 3, -5 .. along one dimension after the other. An all-reduce on
// `dims` runs 2 D copies: each begins with another dimension, half of them mirrored.
int copies(const Schedule& schedule);
int partner(const Schedule& schedule, int copy, int index, int round);
Blocks kept(const Schedule& schedule, int copy, int index, int round);
int distance(const Schedule& schedule, int round);
// Of dimensions that do not fit.
std::string refusal(const Schedule& schedule);

}  // namespace railwright::collectives::swing
