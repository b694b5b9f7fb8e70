// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "common/system/fd.hpp"
#include "worker/store/elf.hpp"

namespace weft::worker {

namespace {

/// The first bytes of this program, with another machine in the header unless `machine` is EM_NONE.
Fd program_for(Elf64_Half machine) {
  const Fd self = checked(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "/proc/self/exe");
  Elf64_Ehdr header{};
  REQUIRE(pread(self.get(), &header, sizeof header, 0) == sizeof header);
  if (machine != EM_NONE) header.e_machine = machine;
  Fd copy = checked(memfd_create("program", MFD_CLOEXEC), "memfd");
  REQUIRE(write(copy.get(), &header, sizeof header) == sizeof header);
  return copy;
}

}  // namespace

TEST_SUITE_BEGIN("worker elf");

TEST_CASE("a program for this machine is accepted") {
  CHECK(why_not_for_this_machine(program_for(EM_NONE).get()).empty());
}

TEST_CASE("a program for another architecture is refused, and both are named") {
  const std::string why = why_not_for_this_machine(program_for(EM_S390).get());
  CHECK(why.starts_with("the program is for s390, this worker is "));
}

TEST_CASE("what is no program at all is refused as that") {
  const Fd text = checked(memfd_create("text", MFD_CLOEXEC), "memfd");
  CHECK(why_not_for_this_machine(text.get()) == "it is not an ELF program");
}

TEST_SUITE_END();

}  // namespace weft::worker
