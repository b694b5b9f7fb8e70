// expect: weft: this is not a function that can be submitted
#include <weft/function.hpp>

auto bytes = weft::detail::Call<5>::encode(1);
