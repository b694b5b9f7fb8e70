// expect: weft: a function object with members cannot travel as a function
// names: Scale
#include <weft/weft.hpp>

struct Scale {
  int factor;
  int operator()(int x) const { return factor * x; }
};
void f(weft::Client& client) { client.submit(Scale{2}, 1); }
