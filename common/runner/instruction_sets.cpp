// SPDX-License-Identifier: MIT
#include "common/runner/instruction_sets.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "common/wire/runner_messages.hpp"

namespace weft::runner {

namespace {

bool between(unsigned char value, unsigned char first, unsigned char last) {
  return first <= value && value <= last;
}

/// For a three-byte VEX prefix: `map` is its opcode map, `opcode` the byte after the prefix.
std::string_view set_of_vex(unsigned map, unsigned char opcode) {
  if (map == 2 && (between(opcode, 0x96, 0x9f) || between(opcode, 0xa6, 0xaf) || between(opcode, 0xb6, 0xbf)))
    return "FMA";
  if (map == 2 && (opcode == 0xf2 || opcode == 0xf3)) return "BMI1";
  if ((map == 2 && between(opcode, 0xf5, 0xf7)) || (map == 3 && opcode == 0xf0)) return "BMI2";
  if (map == 2 && (opcode == 0x49 || opcode == 0x4b || opcode == 0x5c || opcode == 0x5e)) return "AMX";
  if (map == 2 && between(opcode, 0x50, 0x53)) return "AVX-VNNI";
  if ((map == 2 && opcode == 0x13) || (map == 3 && opcode == 0x1d)) return "F16C";
  return map == 1 ? "AVX" : "AVX2";
}

#ifdef __x86_64__
void put(const char* text, std::size_t size) {
  if (::write(STDERR_FILENO, text, size) < 0) return;
}

void on_illegal_instruction(int signal, siginfo_t* info, void*) {
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kLongest = 15;
  // The next page may not be mapped.
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const std::size_t size = std::min(kLongest, kPage - address % kPage);
  const std::string_view set = instruction_set_of({static_cast<const unsigned char*>(info->si_addr), size});
  if (set.empty()) {
    std::signal(signal, SIG_DFL);  // the instruction is executed again and kills the process
    return;
  }
  put(kInstructionSetWords, std::strlen(kInstructionSetWords));
  put(set.data(), set.size());
  constexpr std::string_view kAdvice =
      ", which this program was built for: build it for the oldest processor of the cluster (not "
      "-march=native)\n";
  put(kAdvice.data(), kAdvice.size());
  ::_exit(kExitInstructionSet);
}
#endif

}  // namespace

std::string_view instruction_set_of(std::span<const unsigned char> code) {
  bool repeated = false;
  bool sized = false;
  while (!code.empty() &&
         (code[0] == 0x66 || code[0] == 0xf2 || code[0] == 0xf3 || between(code[0], 0x40, 0x4f))) {
    repeated = repeated || code[0] == 0xf2 || code[0] == 0xf3;
    sized = sized || code[0] == 0x66;
    code = code.subspan(1);
  }
  if (code.size() < 3) return "";
  if (code[0] == 0x62) return "AVX-512";
  if (code[0] == 0xc5) return "AVX";
  if (code[0] == 0xc4 && code.size() > 3) return set_of_vex(code[1] & 0x1f, code[3]);
  if (code[0] != 0x0f) return "";
  if (code[1] == 0x38 && between(code[2], 0xf0, 0xf1)) return repeated ? "SSE4.2" : "MOVBE";
  if (code[1] == 0x38) return code[2] < 0x10 ? "SSSE3" : "SSE4";
  if (code[1] == 0x3a) return code[2] == 0x0f ? "SSSE3" : "SSE4";
  if (code[1] == 0xb8 && repeated) return "POPCNT";
  if (code[1] == 0xbd && repeated) return "LZCNT";
  if (code[1] == 0x7c || code[1] == 0x7d || code[1] == 0xd0) return sized || repeated ? "SSE3" : "";
  return "";
}

void explain_illegal_instructions() {
#ifdef __x86_64__
  struct sigaction action {};
  action.sa_sigaction = on_illegal_instruction;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  ::sigaction(SIGILL, &action, nullptr);
#endif
}

}  // namespace weft::runner
