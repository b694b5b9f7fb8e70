// expect shown: weft: F is one function: f<int>, or static_cast<int (*)(int)>(f)
#include <weft/weft.hpp>

int half(int x);
double half(double x);
void f(weft::Client& client) { client.submit<half>(1); }
