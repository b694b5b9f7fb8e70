// expect: weft: a struct travels by itself when it has 1 to 32 members
// names: Nothing
#include <weft/function.hpp>

struct Nothing {};
int f(Nothing) { return 1; }
auto bytes = weft::detail::Call<f>::encode(Nothing());
