// expect: wrap a value that is the same in every call in weft::same(value)
#include <weft/weft.hpp>

#include <vector>
long add(long x, long y) { return x + y; }
void f(weft::Client& client) { client.map<add>(std::vector<long>{1}, 7L); }
