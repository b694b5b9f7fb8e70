// expect: weft: a lambda with captures cannot travel: pass captured values as arguments
#include <weft/function.hpp>

void f(int n) {
  auto lambda = [n](int x) { return x + n; };
  auto bytes = weft::detail::LambdaCall<decltype(lambda)>::encode(1);
}
