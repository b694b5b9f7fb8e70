// expect: pass captured values as arguments
#include <weft/weft.hpp>

#include <vector>
void f(weft::Client& client, int n) {
  client.map([&n](int x) { return x + n; }, std::vector{1, 2});
}
