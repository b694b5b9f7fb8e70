// expect: weft: a floating value does not fit an integer parameter
#include <weft/function.hpp>

int inc(std::optional<int> x) { return x.value_or(0); }
auto bytes = weft::detail::Call<inc>::encode(1.5);
