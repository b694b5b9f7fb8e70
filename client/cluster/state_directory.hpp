// SPDX-License-Identifier: MIT
// The state directory of a cluster: logs/ stays, run/ goes with `down`. In run/:
//   cluster.json     see cluster_state.hpp
//   control          the socket on which the supervisor takes requests
// and for scripts: address (what the broker serves), MEMBER.process and MEMBER.keeper (pid, start time and
// boot of the process and of its supervisor).
#pragma once

#include <filesystem>
#include <string>

#include "common/fd.hpp"

namespace weft::cluster {

class StateDirectory {
 public:
  explicit StateDirectory(std::filesystem::path root) : root_(std::move(root)) {}
  /// $WEFT_STATE_DIR, else $XDG_RUNTIME_DIR/weft, else /tmp/weft-UID. Throws std::runtime_error when it is
  /// there and others may enter it.
  static StateDirectory locate();

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path run() const { return root_ / "run"; }
  std::filesystem::path logs() const { return root_ / "logs"; }

  /// Makes it, if it is not there. Throws std::runtime_error.
  void make() const;
  bool has_cluster() const;
  /// No other command changes the cluster while the result lives. Throws std::runtime_error when another
  /// one does for two minutes.
  Fd lock() const;

  /// Throws std::runtime_error.
  std::string read_state() const;
  /// A whole file or, when there is no space, the one before and false.
  bool write(const std::string& name, const std::string& content) const;
  void remove(const std::string& name) const;
  /// Everything but the logs.
  void remove_run() const;

 private:
  void check() const;

  std::filesystem::path root_;
};

}  // namespace weft::cluster
