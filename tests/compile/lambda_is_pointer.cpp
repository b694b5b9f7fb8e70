// expect: weft: name the function as a template argument
#include <weft/function.hpp>

auto bytes = weft::detail::LambdaCall<int (*)(int)>::encode(1);
