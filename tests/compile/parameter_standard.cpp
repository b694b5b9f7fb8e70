// expect: weft: this standard type cannot travel: pass what it holds as text, numbers or a container
// names: filesystem
#include <weft/function.hpp>

#include <filesystem>

bool f(const std::filesystem::path& path) { return path.empty(); }
auto bytes = weft::detail::Call<f>::encode(std::filesystem::path());
