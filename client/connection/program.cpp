// SPDX-License-Identifier: MIT
#include "client/connection/program.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <system_error>

#include "common/runner/program_functions.hpp"
#include "common/runner/shipped_library.hpp"
#include "common/system/hash.hpp"
#include "weft/error.hpp"
#include "weft/function.hpp"

namespace weft::client {

namespace {

/// The name of a shipped library, as in common/runner/shipped_library.hpp.
std::string shipped_name(const MappedObject& object, char role) {
  char tail[kNameTailBytes + 1];
  std::snprintf(tail, sizeof tail, "%c%c%016lx", kRoleMark, role,
                static_cast<unsigned long>(hash_of_path(object.path.data(), object.path.size())));
  return object.name + tail;
}

}  // namespace

Program& Program::current() {
  static Program* const one = new Program;  // never destroyed: a static Client may serve it to the end
  return *one;
}

Program::Program() { look(); }

/// Updates objects_ after dlopen() and dlclose(): adds opened libraries, removes closed ones.
void Program::look() {
  const std::uint64_t loads = loader_changes();
  if (loads == loads_) return;
  std::vector<Shipped> found;
  for (const MappedObject& object : own_objects()) {
    const auto known = std::find_if(objects_.begin(), objects_.end(), [&](const Shipped& shipped) {
      return shipped.object.base == object.base && shipped.object.fd == object.fd;
    });
    found.push_back(known != objects_.end() ? *known : ship(object));
  }
  objects_ = std::move(found);
  list_libraries();
  loads_ = loads;
}

void Program::list_libraries() {
  std::set<std::uintptr_t> with_tasks;
  for (const detail::RegisteredFunction& function : detail::registered_functions())
    if (const auto where = locate_code(address_of(function))) with_tasks.insert(where->base);
  libraries_.clear();
  labels_.clear();
  definitions_.clear();
  labels_.emplace(objects_.front().object.base, "");
  for (std::size_t i = 1; i < objects_.size(); ++i) {
    const MappedObject& object = objects_[i].object;
    if (!object.fault.empty()) continue;
    const bool has_tasks = with_tasks.contains(object.base);
    const char role = object.at_start ? kRoleLinked : has_tasks ? kRolePluginWithTasks : kRolePlugin;
    labels_.emplace(object.base, std::to_string(libraries_.size()));
    libraries_.push_back(
        {.name = shipped_name(object, role), .id = objects_[i].file.id, .size = objects_[i].file.size});
  }
}

Program::Shipped Program::ship(const MappedObject& object) {
  Shipped shipped{object,
                  {.name = object.name, .id = {}, .size = static_cast<std::uint64_t>(object.opened.st_size)}};
  // A library whose file has been removed after dlopen(), such as a plug-in that was unpacked temporarily, is
  // an error only when one of its functions is submitted.
  const bool optional = !object.at_start && !object.replaced;
  if (!object.fault.empty() && optional) return shipped;
  if (!object.fault.empty()) throw Error(object.fault);
  try {
    shipped.file.id = hash_of_file(object.fd);
  } catch (const std::system_error& error) {
    throw Error("cannot read " + object.path + ", which has to be sent to the workers: " + error.what());
  }
  if (const std::string changed = why_changed(object); !changed.empty()) throw Error(changed);
  files_.try_emplace(shipped.file.id, object);
  return shipped;
}

void Program::describe(std::uint32_t index, wire::TaskSpec& spec) {
  const std::lock_guard lock(mutex_);
  look();
  for (const Shipped& shipped : objects_) {
    if (!shipped.object.fault.empty()) continue;
    if (const std::string changed = why_changed(shipped.object); !changed.empty()) throw Error(changed);
  }
  std::string& definition = definitions_[index];
  if (definition.empty()) definition = define(index);
  spec.program = objects_.front().file;
  spec.libraries = libraries_;
  spec.signature = definition;
}

BlobId Program::hash_of_libraries() {
  const std::lock_guard lock(mutex_);
  look();
  std::string text;
  for (const wire::FileRef& library : libraries_) {
    text += library.name + '\0';
    text.append(library.id.bytes.begin(), library.id.bytes.end());
  }
  return hash_of(text);
}

std::string Program::define(std::uint32_t index) const {
  const detail::RegisteredFunction function = detail::registered_functions().at(index);
  const auto where = locate_code(address_of(function));
  if (!where) throw Error(function.name() + " is not in a file that could be sent to the workers");
  if (const auto label = labels_.find(where->base); label != labels_.end())
    return definition_of(function, label->second, where->offset);
  for (const Shipped& shipped : objects_) {
    if (shipped.object.base == where->base)
      throw Error(function.name() + " cannot be sent to the workers: " + shipped.object.fault);
  }
  return definition_of(function, where->path.substr(where->path.rfind('/') + 1),
                       where->offset);  // in a system library, which is not shipped
}

std::optional<Bytes> Program::read(const BlobId& id, std::uint64_t offset, std::uint32_t bytes) {
  int fd = -1;
  {
    const std::lock_guard lock(mutex_);
    const auto it = files_.find(id);
    if (it == files_.end()) return std::nullopt;
    if (const std::string changed = why_changed(it->second); !changed.empty()) throw Error(changed);
    fd = it->second.fd;
  }
  std::string text(std::min<std::size_t>(bytes, wire::kChunkBytes), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got =
        ::pread(fd, text.data() + filled, text.size() - filled, static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  if (filled == 0) return std::nullopt;
  return Bytes(std::string_view(text).substr(0, filled));
}

}  // namespace weft::client
