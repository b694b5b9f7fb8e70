// SPDX-License-Identifier: MIT
// The tasks of the chaos clients. The right answer of a task follows from its number, so that every answer
// can be checked by value. Each task appends a line to a file when it starts.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>
#include <weft/weft.hpp>

namespace weft::chaos {

using Blob = std::vector<std::byte>;

/// A well-distributed function of x that is the same on every machine (splitmix64).
inline std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

inline Blob blob_of(std::uint64_t number, std::size_t bytes) {
  Blob blob(bytes);
  for (std::size_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = mix(number + i);
    for (std::size_t j = i; j < bytes && j < i + 8; ++j)
      blob[j] = static_cast<std::byte>(word >> (8 * (j - i)));
  }
  return blob;
}

inline std::uint64_t sum_of(const Blob& blob) {
  std::uint64_t sum = blob.size();
  for (const std::byte byte : blob) sum = sum * 1099511628211ULL + static_cast<std::uint64_t>(byte);
  return sum;
}

inline std::int64_t monotonic_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Appends "KIND NUMBER ATTEMPT WORKER MICROSECONDS".
inline void note_start(const std::string& starts, char kind, std::uint64_t number) {
  const std::string line = std::string(1, kind) + " " + std::to_string(number) + " " +
                           std::to_string(this_task::attempt()) + " " + this_task::worker() + " " +
                           std::to_string(monotonic_us()) + "\n";
  const int fd = open(starts.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const bool noted = fd >= 0 && write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  close(fd);
  if (!noted) throw std::runtime_error("cannot write " + starts);
}

// ---- tasks ----

inline std::uint64_t tiny(std::string starts, std::uint64_t number) {
  note_start(starts, 't', number);
  return mix(number);
}

inline std::uint64_t nap(std::string starts, std::uint64_t number, int ms) {
  note_start(starts, 'n', number);
  usleep(static_cast<useconds_t>(ms) * 1000);
  return mix(number);
}

/// Must not start twice, even if the worker is lost.
inline std::uint64_t nap_once(std::string starts, std::uint64_t number, int ms) {
  note_start(starts, 'o', number);
  usleep(static_cast<useconds_t>(ms) * 1000);
  return mix(number);
}

inline std::uint64_t takes_large(std::string starts, std::uint64_t number, Blob blob) {
  note_start(starts, 'a', number);
  return sum_of(blob);
}

inline Blob gives_large(std::string starts, std::uint64_t number, std::uint64_t bytes) {
  note_start(starts, 'r', number);
  return blob_of(number, bytes);
}

inline std::uint64_t throws(std::string starts, std::uint64_t number) {
  note_start(starts, 'x', number);
  throw std::domain_error("number " + std::to_string(number));
}

inline std::uint64_t fails_twice(std::string starts, std::uint64_t number) {
  note_start(starts, 'f', number);
  if (this_task::attempt() < 3) throw std::runtime_error("not yet");
  return mix(number);
}

inline std::uint64_t crashes(std::string starts, std::uint64_t number) {
  note_start(starts, 'c', number);
  std::abort();
}

inline std::uint64_t too_long(std::string starts, std::uint64_t number) {
  note_start(starts, 'l', number);
  for (;;) usleep(10'000);
}

}  // namespace weft::chaos
