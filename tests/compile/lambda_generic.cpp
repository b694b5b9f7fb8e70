// expect: weft: give the types of the lambda's parameters
#include <weft/function.hpp>

void f() {
  auto lambda = [](auto x) { return x; };
  auto bytes = weft::detail::LambdaCall<decltype(lambda)>::encode(1);
}
