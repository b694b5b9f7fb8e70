// expect: map needs at least one range
#include <weft/weft.hpp>

long inc(long x) { return x + 1; }
void f(weft::Client& client) { client.map<inc>(weft::same(7L)); }
