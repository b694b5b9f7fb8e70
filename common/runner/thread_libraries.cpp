// SPDX-License-Identifier: MIT
#include "common/runner/thread_libraries.hpp"

#include <dlfcn.h>

#include <cstdlib>

namespace weft::runner {
namespace {

/// Searches the libraries that the program is linked with, and those that a task library has loaded
/// privately.
void* find_symbol(const char* name) {
  if (void* symbol = dlsym(RTLD_DEFAULT, name)) return symbol;
  // dlopen() by dlsym(), since linking it into a static program would cause a linker warning.
  using Open = void* (*)(const char*, int);
  const auto open = reinterpret_cast<Open>(dlsym(RTLD_DEFAULT, "dlopen"));
  if (open == nullptr) return nullptr;
  for (const char* library : {"libgomp.so.1", "libomp.so.5", "libomp.so", "libiomp5.so", "libopenblas.so.0",
                              "libmkl_rt.so.2", "libmkl_rt.so", "libblis.so.4"}) {
    void* handle = open(library, RTLD_LAZY | RTLD_NOLOAD);  // never closed, so it stays loaded
    if (handle == nullptr) continue;
    if (void* symbol = dlsym(handle, name)) return symbol;
  }
  return nullptr;
}

}  // namespace

ThreadLibraries::ThreadLibraries()
    : libraries_{
          {{.variable = "OMP_NUM_THREADS", .getter = "omp_get_max_threads", .setter = "omp_set_num_threads"},
           {.variable = "OPENBLAS_NUM_THREADS",
            .getter = "openblas_get_num_threads",
            .setter = "openblas_set_num_threads"},
           {.variable = "MKL_NUM_THREADS", .getter = "MKL_Get_Max_Threads", .setter = "MKL_Set_Num_Threads"},
           {.variable = "BLIS_NUM_THREADS",
            .getter = "bli_thread_get_num_threads",
            .setter = "bli_thread_set_num_threads"}}} {}

void ThreadLibraries::keep() {
  find(2);  // MKL and BLIS would load parts that the program may never use
  for (Library& library : libraries_)
    if (library.get != nullptr) library.before = library.get();
}

/// Finds the first `count` libraries.
void ThreadLibraries::find(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    Library& library = libraries_[i];
    if (library.get != nullptr) continue;
    const auto get = reinterpret_cast<int (*)()>(find_symbol(library.getter));
    const auto set = reinterpret_cast<void (*)(int)>(find_symbol(library.setter));
    if (get == nullptr || set == nullptr) continue;
    library.get = get;
    library.set = set;
    library.before = get();
  }
}

void ThreadLibraries::set(const std::map<std::string, std::string>& environment) {
  find(libraries_.size());  // a task may have loaded one since
  for (Library& library : libraries_) {
    const auto found = environment.find(library.variable);
    if (found == environment.end() || library.set == nullptr) continue;
    // "4,2": the first number is for this nesting level.
    if (const int count = std::atoi(found->second.c_str()); count > 0) library.set(count);
  }
}

}  // namespace weft::runner
