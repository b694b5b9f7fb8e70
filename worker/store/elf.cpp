// SPDX-License-Identifier: MIT
#include "worker/store/elf.hpp"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "common/system/fd.hpp"

namespace weft::worker {

namespace {

struct Machine {
  int code = 0;  // e_machine; 0: not ELF
  int bits = 0;
  bool operator==(const Machine&) const = default;
};

Machine machine_of(int fd) {
  Elf64_Ehdr header{};  // both classes have e_machine in the same place
  const ssize_t got = pread(fd, &header, sizeof header, 0);
  if (got < static_cast<ssize_t>(sizeof(Elf32_Ehdr)) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return {};
  return {header.e_machine, header.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32};
}

std::string name_of(const Machine& machine) {
  switch (machine.code) {
    case EM_X86_64:
      return machine.bits == 64 ? "x86_64" : "x32";
    case EM_386:
      return "i386";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "arm";
    case EM_RISCV:
      return machine.bits == 64 ? "riscv64" : "riscv32";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390";
    default:
      return "machine " + std::to_string(machine.code);
  }
}

}  // namespace

std::string why_not_for_this_machine(int fd) {
  const Fd self = checked(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "/proc/self/exe");
  const Machine here = machine_of(self.get());
  const Machine there = machine_of(fd);
  if (there.code == 0) return "it is not an ELF program";
  if (there == here) return "";
  return "the program is for " + name_of(there) + ", this worker is " + name_of(here);
}

}  // namespace weft::worker
