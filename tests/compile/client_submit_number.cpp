// expect: weft: this is not a function
#include <weft/weft.hpp>

void f(weft::Client& client) { client.submit(1, 2); }
