// expect: map needs a range that ends: limit an endless one with std::views::take
#include <weft/weft.hpp>

#include <ranges>
long inc(long x) { return x + 1; }
void f(weft::Client& client) { client.map<inc>(std::views::iota(0L)); }
