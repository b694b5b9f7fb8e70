// expect: a floating value does not fit an integer parameter
#include <weft/weft.hpp>

long inc(long x) { return x + 1; }
void f(weft::Client& client) { client.submit<inc>(1.5); }
