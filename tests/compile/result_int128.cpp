// expect: weft: this type cannot travel to another process
#include <weft/function.hpp>

__int128 f() { return 1; }
auto bytes = weft::detail::Call<f>::encode();
