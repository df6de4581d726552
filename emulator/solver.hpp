// Shared bandwidth as weighted max-min.
//
// Variables i with rate x_i, fairness share phi_i, cap c_i and consumption a_il on link l of
// capacity C_l. The allocation is the unique x with
//   sum_i a_il x_i <= C_l,  x_i <= c_i,  and  min x_i / phi_i lexicographically largest:
// nobody's x/phi can grow without taking from somebody whose x/phi is no larger. Equivalently each
// variable is at its cap or crosses a saturated link on which its x/phi is maximal: the
// certificate.
#pragma once

#include <limits>
#include <string>
#include <vector>

namespace railwright::emulator {

struct Consumption {
  int link = 0;         // index into System::capacity
  double per_rate = 1;  // a: load on the link per unit of the variable's rate
};
struct Variable {
  std::vector<Consumption> consumption;  // no link twice; empty: only the cap binds
  double share = 1;                      // phi > 0
  double cap = std::numeric_limits<double>::infinity();
};
struct System {
  std::vector<double> capacity;  // bytes per second, > 0
  std::vector<Variable> variables;
};
struct Allocation {
  std::vector<double> rate;  // per variable
  std::vector<int>
      limiting_link;  // per variable: lowest saturated link that binds it, -1 = its cap
};

Allocation max_min(const System& system);

// Empty when the certificate holds to `tolerance` (relative), else the violation in words.
std::string certificate_violation(const System& system, const Allocation& allocation,
                                  double tolerance = 1e-9);

}  // namespace railwright::emulator
