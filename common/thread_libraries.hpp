// SPDX-License-Identifier: MIT
// ThreadLibraries: libraries of this process that start threads of their own, and how many they use: OpenMP
// (GNU, LLVM, Intel), OpenBLAS, MKL and BLIS. They read OMP_NUM_THREADS and kin when they are loaded; after
// that they have to be told.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <string>

namespace weft::runner {

class ThreadLibraries {
 public:
  ThreadLibraries();
  /// Finds them; restore() is to the numbers that they have now.
  void keep();
  /// What these variables say, for this thread and what it starts from now on.
  void set(const std::map<std::string, std::string>& environment);
  /// As many as before, whoever has changed it.
  void restore() {
    for (Library& library : libraries_) {
      if (library.get != nullptr && library.get() != library.before) library.set(library.before);
    }
  }

 private:
  struct Library {
    const char* variable;
    const char* getter;
    const char* setter;
    int (*get)() = nullptr;
    void (*set)(int) = nullptr;
    int before = 0;
  };
  void find(std::size_t count);

  std::array<Library, 4> libraries_;
};

}  // namespace weft::runner
