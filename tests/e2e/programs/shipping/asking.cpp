// SPDX-License-Identifier: MIT
// A program with a private shared library: asking ADDRESS [WORD ARGUMENT]...
//   wait FILE      goes on when FILE is there
//   ask            prints what the library answers in a task
//   open PATH      opens another library, as a plug-in
//   ask-plugin PATH   prints what the linked library and the one at PATH answer in one task
//   count PATH     prints how often each of the two was called
//   lack           a task uses an instruction of the AVX2 family that no processor has
//   run COMMAND    prints what COMMAND prints when a task starts it
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include <weft/weft.hpp>

extern "C" int answer();

namespace {

int ask() { return answer(); }

std::pair<int, int> ask_plugin(const std::string& path) {
  void* const plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) throw std::runtime_error(dlerror());
  return {answer(), reinterpret_cast<int (*)()>(dlsym(plugin, "answer"))()};
}

/// Calls the linked library once, then the one at `path` twice.
std::vector<int> count(const std::string& path) {
  const auto call = [](void* library) { return reinterpret_cast<int (*)()>(dlsym(library, "count"))(); };
  void* const plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) throw std::runtime_error(dlerror());
  return {call(RTLD_DEFAULT), call(plugin), call(plugin)};
}

std::string run(const std::string& command) {
  std::string out;
  FILE* const pipe = popen(command.c_str(), "r");
  char piece[512];
  while (fgets(piece, sizeof piece, pipe) != nullptr) out += piece;
  return out + "status " + std::to_string(pclose(pipe)) + "\n";
}

void lack() {
#ifdef __x86_64__
  asm volatile(".byte 0xc4, 0xe2, 0x7d, 0xff, 0xc0");
#endif
}

void wait_for(const std::string& file) {
  std::printf("waiting\n");
  std::fflush(stdout);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!std::filesystem::exists(file)) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error(file + " does not come");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void perform(weft::Client& client, const std::string& word, const std::string& argument) {
  if (word == "wait") {
    wait_for(argument);
  } else if (word == "ask") {
    std::printf("in a task %d\n", client.submit<ask>().result());
  } else if (word == "open") {
    if (dlopen(argument.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) throw std::runtime_error(dlerror());
  } else if (word == "ask-plugin") {
    const auto [linked, plugin] = client.submit<ask_plugin>(argument).result();
    std::printf("linked %d, plug-in %d\n", linked, plugin);
  } else if (word == "count") {
    const std::vector<int> counts = client.submit<count>(argument).result();
    std::printf("linked %d, plug-in %d, plug-in %d\n", counts[0], counts[1], counts[2]);
  } else if (word == "lack") {
    client.submit<lack>().result();
  } else if (word == "run") {
    std::printf("%s", client.submit<run>(argument).result().c_str());
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    weft::Client client(argv[1]);
    for (int i = 2; i < argc; i += 2) perform(client, argv[i], i + 1 < argc ? argv[i + 1] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
