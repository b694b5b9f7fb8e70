// expect: deleted
#include <weft/weft.hpp>

void f(weft::Client& client) { weft::Client copy = client; }
