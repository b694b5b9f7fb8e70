// expect shown: weft: F is one function: f<int>, or static_cast<int (*)(int)>(f)
#include <weft/weft.hpp>

template <class T>
T twice(T x) {
  return x + x;
}
void f(weft::Client& client) { client.map<twice>(std::vector<int>{1}); }
