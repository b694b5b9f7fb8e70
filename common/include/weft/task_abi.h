/* SPDX-License-Identifier: MIT
 * The C interface between weft-runner and a task library, so that a library can be written in any
 * language. C++ libraries use <weft/task_library.hpp> instead. A library is a shared object that
 * exports one function:
 *
 *   const struct weft_task_library* weft_task_library_v1(void);
 *
 * which the runner finds with dlsym after dlopen(RTLD_NOW | RTLD_LOCAL). The returned table must not
 * change while the library is loaded. No exception may pass through any of these functions.
 */
#ifndef WEFT_TASK_ABI_H
#define WEFT_TASK_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_TASK_ABI_VERSION 1

/* One call of a task, made by the runner; valid until invoke returns. */
struct weft_task_call {
  uint32_t abi_version;  /* WEFT_TASK_ABI_VERSION of the runner; members are only ever appended */
  const char* arguments; /* msgpack: an array of the arguments */
  size_t arguments_size;
  const char* task;   /* id, for logs */
  const char* worker; /* name */
  uint32_t attempt;   /* executions started, from 1 */

  /* Passes the result as msgpack (nil for none) to the runner, which copies it. Call this or error, once. */
  void (*result)(const struct weft_task_call* call, const char* bytes, size_t size);
  /* Fails the task: type of the error ("" for none) and its message, both NUL-terminated. */
  void (*error)(const struct weft_task_call* call, const char* type, const char* message);
  /* 1 once the task has been cancelled or has timed out; thread-safe. */
  int (*stop_requested)(const struct weft_task_call* call);

  void* runner; /* for the runner's use */
};

/* One task. Names are unique in a runner, across all its libraries. */
struct weft_task_entry {
  const char* name;
  const char* signature; /* "long(long,double)", which callers must match; type names as in C++ */
  void (*invoke)(const struct weft_task_entry* entry, const struct weft_task_call* call);
  void* library; /* for the library's use */
};

/* What the exported function returns. The library owns the table, its entries and their strings. */
struct weft_task_library {
  uint32_t abi_version; /* WEFT_TASK_ABI_VERSION that the library was built with */
  uint32_t count;
  const struct weft_task_entry* entries;
};

#define WEFT_TASK_LIBRARY_SYMBOL "weft_task_library_v1"
typedef const struct weft_task_library* (*weft_task_library_function)(void);

#ifdef __cplusplus
}
#endif

#endif
