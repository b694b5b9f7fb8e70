// expect: write submit<inc>(1)
#include <weft/weft.hpp>

#include <vector>
long inc(long x) { return x + 1; }
void f(weft::Client& client) { client.map(inc, std::vector<long>{1}); }
