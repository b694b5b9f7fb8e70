// SPDX-License-Identifier: MIT
// ThreadLibraries: the numbers of threads of OpenMP (GNU, LLVM, Intel), OpenBLAS, MKL and BLIS in this
// process. These libraries read OMP_NUM_THREADS etc. only when they are loaded; later the number must be set
// by a call.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <string>

namespace weft::runner {

class ThreadLibraries {
 public:
  ThreadLibraries();
  /// Saves the current numbers of threads, for restore().
  void keep();
  /// Applies these variables to this thread and to threads that it starts later.
  void set(const std::map<std::string, std::string>& environment);
  /// Restores the saved numbers.
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
