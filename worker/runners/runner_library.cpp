// SPDX-License-Identifier: MIT
#include "worker/runners/runner_library.hpp"

#include <dlfcn.h>

#include <optional>

#include "common/runner/running_task.hpp"
#include "weft/error.hpp"
#include "weft/this_task.hpp"

namespace weft::runner {
namespace {

/// The answer of a task, filled in by the callbacks.
struct Answer {
  std::optional<detail::ByteBuffer> result;
  std::optional<Failure> failure;
};

Answer& answer_of(const weft_task_call* call) { return *static_cast<Answer*>(call->runner); }

// A library may be written in any language, so no exception passes through it.
void on_result(const weft_task_call* call, const char* bytes, size_t size) noexcept {
  answer_of(call).result.emplace(std::string_view(bytes, size));
}
void on_error(const weft_task_call* call, const char* type, const char* message) noexcept {
  answer_of(call).failure = Failure{type ? type : "", message ? message : ""};
}
int on_stop_requested(const weft_task_call*) noexcept { return this_task::stop_requested() ? 1 : 0; }

}  // namespace

void Libraries::load(const std::string& path) {
  // dlopen() searches a name without a slash in the system's directories instead of the current one.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed, so that tasks stay callable
  if (handle == nullptr) throw Error(std::string("cannot load the task library: ") + dlerror());
  const auto describe = reinterpret_cast<weft_task_library_function>(dlsym(handle, WEFT_TASK_LIBRARY_SYMBOL));
  if (describe == nullptr)
    throw Error(path + " is not a task library: it does not export " WEFT_TASK_LIBRARY_SYMBOL
                       " (see weft/task_library.hpp)");
  const weft_task_library* library = describe();
  if (library == nullptr || library->abi_version != WEFT_TASK_ABI_VERSION) {
    throw Error(path + " was built for version " + std::to_string(library ? library->abi_version : 0) +
                " of the task interface, this weft-runner has version " +
                std::to_string(WEFT_TASK_ABI_VERSION));
  }
  for (std::uint32_t i = 0; i < library->count; ++i) {
    const weft_task_entry& entry = library->entries[i];
    if (!tasks_.emplace(entry.name, &entry).second)
      throw Error(path + " has a task \"" + entry.name + "\", which a library loaded before it has too");
  }
}

std::vector<FunctionEntry> Libraries::functions() const {
  std::vector<FunctionEntry> out;
  for (const auto& [name, entry] : tasks_) out.push_back({name, entry->signature});
  return out;
}

detail::ByteBuffer Libraries::call(const RunNamed& named, std::string_view payload) const {
  const auto found = tasks_.find(named.function);
  if (found == tasks_.end()) {
    std::string known;
    for (const auto& [name, entry] : tasks_) known += (known.empty() ? "" : ", ") + name;
    throw Failure{"", "there is no task \"" + named.function + "\" in the libraries of this worker" +
                          (known.empty() ? ", which has none loaded" : "; it has: " + known)};
  }
  const weft_task_entry& entry = *found->second;
  if (named.signature != entry.signature) {
    throw Failure{"", "the call has the signature " + named.signature + ", the task \"" + named.function +
                          "\" in the library has " + entry.signature};
  }
  Answer answer;
  const std::string id = named.task.id.text();
  const std::string worker = RunningTask::worker();
  const weft_task_call call{.abi_version = WEFT_TASK_ABI_VERSION,
                            .arguments = payload.data(),
                            .arguments_size = payload.size(),
                            .task = id.c_str(),
                            .worker = worker.c_str(),
                            .attempt = named.task.execution,
                            .result = &on_result,
                            .error = &on_error,
                            .stop_requested = &on_stop_requested,
                            .runner = &answer};
  entry.invoke(&entry, &call);
  if (answer.failure) throw std::move(*answer.failure);
  if (!answer.result) throw Failure{"", "the task returned neither a result nor an error"};
  return std::move(*answer.result);
}

}  // namespace weft::runner
