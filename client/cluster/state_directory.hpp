// SPDX-License-Identifier: MIT
// The state directory of a cluster: logs/ stays, run/ is removed by `down`. In run/:
//   cluster.json     see cluster_state.hpp
//   control          the socket on which the supervisor accepts requests
// and for scripts: address (of the broker), MEMBER.process and MEMBER.supervisor (pid, start time and boot id
// of the process and of its supervisor).
#pragma once

#include <filesystem>
#include <string>

#include "common/system/fd.hpp"

namespace weft::cluster {

class StateDirectory {
 public:
  explicit StateDirectory(std::filesystem::path root) : root_(std::move(root)) {}
  /// $WEFT_STATE_DIR, $XDG_RUNTIME_DIR/weft or /tmp/weft-UID, the first whose variable is set. Throws
  /// std::runtime_error if the directory exists, but belongs to another user or may be entered by others.
  static StateDirectory locate();

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path run() const { return root_ / "run"; }
  std::filesystem::path logs() const { return root_ / "logs"; }

  /// Creates the directory if necessary. Throws std::runtime_error if that fails, or like locate().
  void make() const;
  /// Whether `up` has been run here, and `down` has not.
  bool has_cluster() const;
  /// Locks the cluster against changes by other commands while the returned Fd is open. Throws
  /// std::runtime_error if another command holds the lock for two minutes.
  Fd lock() const;

  /// The content of run/cluster.json. Throws std::runtime_error if the file cannot be read.
  std::string read_state() const;
  /// Replaces the file `name` of run/ atomically; false: there is no space, and the old file remains.
  bool write(const std::string& name, const std::string& content) const;
  void remove(const std::string& name) const;
  /// Removes everything except the logs.
  void remove_run() const;

 private:
  void check() const;

  std::filesystem::path root_;
};

}  // namespace weft::cluster
