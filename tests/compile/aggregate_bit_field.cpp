// expect: weft: this struct has a bit-field
// names: Flags
#include <weft/function.hpp>

struct Flags {
  unsigned a : 3;
  unsigned b : 5;
};
int f(std::vector<Flags> flags) { return static_cast<int>(flags.size()); }
auto bytes = weft::detail::Call<f>::encode(std::vector<Flags>());
