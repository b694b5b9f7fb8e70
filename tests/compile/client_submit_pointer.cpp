// expect: write submit<inc>(1)
#include <weft/weft.hpp>

long inc(long x) { return x + 1; }
void f(weft::Client& client) { client.submit(inc, 1); }
