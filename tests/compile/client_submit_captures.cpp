// expect: pass captured values as arguments
#include <weft/weft.hpp>

void f(weft::Client& client, int n) {
  client.submit([n](int x) { return x + n; }, 1);
}
