// expect: weft: a std::function or std::bind does not say which function it holds
#include <weft/weft.hpp>

#include <functional>
void f(weft::Client& client, std::function<int(int)> function) { client.submit(function, 1); }
