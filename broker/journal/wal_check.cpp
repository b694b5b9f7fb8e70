// SPDX-License-Identifier: MIT
#include "broker/journal/wal_check.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <string_view>
#include <vector>

#include "common/system/fd.hpp"

namespace weft::broker {

namespace {

constexpr std::size_t kHeaderSize = 32;
constexpr std::size_t kFrameHeaderSize = 24;

std::uint32_t big_endian(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

std::uint32_t little_endian(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = at + 4; i-- > at;) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

/// SQLite's running checksum.
struct Checksum {
  std::uint32_t first = 0;
  std::uint32_t second = 0;

  bool operator==(const Checksum&) const = default;
  void add(std::string_view bytes, bool big) {
    for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
      first += (big ? big_endian(bytes, i) : little_endian(bytes, i)) + second;
      second += (big ? big_endian(bytes, i + 4) : little_endian(bytes, i + 4)) + first;
    }
  }
};

Checksum checksum_at(std::string_view bytes, std::size_t at) {
  return {big_endian(bytes, at), big_endian(bytes, at + 4)};
}

struct Frame {
  std::uint32_t page = 0;
  bool commit = false;
  std::uint64_t salt = 0;
  bool follows = false;  // its checksum continues the one stated in the frame before it
  std::string_view content;
};

/// Reads the frames of a write-ahead log one after the other, whole or not.
class WalReader {
 public:
  WalReader(const std::string& path, std::uint32_t page_size)
      : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC)), buffer_(kFrameHeaderSize + page_size) {
    struct stat status {};
    if (!file_ && errno == ENOENT) return;
    if (!file_ || fstat(file_.get(), &status) < 0) fail(path);
    size_ = static_cast<std::uint64_t>(status.st_size);
    if (size_ < kHeaderSize) return;
    const std::string_view header = read(kHeaderSize);
    big_ = (big_endian(header, 0) & 1) != 0;
    salt_ = salt_at(header, 16);
    previous_ = checksum_at(header, 24);
    Checksum computed;
    computed.add(header.substr(0, 24), big_);
    whole_header_ = (big_endian(header, 0) & ~1U) == 0x377f0682 && computed == previous_;
    if (!whole_header_) big_ = false;  // SQLite writes the checksums of this machine in little-endian order
  }

  bool whole_header() const { return whole_header_; }
  std::uint64_t salt() const { return salt_; }
  /// Bytes after the last frame that next() returned.
  std::uint64_t rest() const { return size_ - offset_; }

  bool next(Frame& frame) {
    if (size_ < kHeaderSize || rest() < buffer_.size()) return false;
    const std::string_view bytes = read(buffer_.size());
    previous_.add(bytes.substr(0, 8), big_);
    previous_.add(bytes.substr(kFrameHeaderSize), big_);
    const Checksum stated = checksum_at(bytes, 16);
    frame = {big_endian(bytes, 0), big_endian(bytes, 4) != 0, salt_at(bytes, 8), previous_ == stated,
             bytes.substr(kFrameHeaderSize)};
    previous_ = stated;
    return true;
  }

 private:
  static std::uint64_t salt_at(std::string_view bytes, std::size_t at) {
    return std::uint64_t{big_endian(bytes, at)} << 32 | big_endian(bytes, at + 4);
  }
  [[noreturn]] static void fail(const std::string& what) {
    throw std::system_error(errno, std::system_category(), "cannot read " + what);
  }
  std::string_view read(std::size_t bytes) {
    const ssize_t got = pread(file_.get(), buffer_.data(), bytes, static_cast<off_t>(offset_));
    if (got != static_cast<ssize_t>(bytes)) fail("the write-ahead log");
    offset_ += bytes;
    return {buffer_.data(), bytes};
  }

  Fd file_;
  std::vector<char> buffer_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  bool big_ = false;
  bool whole_header_ = false;
  std::uint64_t salt_ = 0;
  Checksum previous_;
};

/// Whether a frame is from before the last reset of the log: each reset adds one to the first salt.
bool is_older(const Frame& frame, std::uint64_t salt) {
  const auto by = static_cast<std::uint32_t>((salt >> 32) - (frame.salt >> 32));
  return frame.salt != 0 && by != 0 && by < 1U << 31;
}

}  // namespace

WalState check_wal(const std::string& path, std::uint32_t page_size) {
  WalReader reader(path, page_size);
  WalState state;
  bool sound = reader.whole_header();
  bool between = true;  // the frame is not in the commit that contains the first broken frame
  bool current = true;  // the frames of before the last reset have not begun
  for (Frame frame; reader.next(frame);) {
    const bool whole =
        frame.page != 0 && frame.follows && (!reader.whole_header() || frame.salt == reader.salt());
    const std::uint64_t bytes = kFrameHeaderSize + frame.content.size();
    current = current && !is_older(frame, reader.salt());
    if (sound && whole) {
      state.torn_bytes = frame.commit ? 0 : state.torn_bytes + bytes;
      continue;
    }
    if (current) state.torn_bytes += bytes;
    if (sound) {
      // Pages of one commit may reach the disk in any order: whole frames in its rest do not prove damage.
      sound = false;
      between = frame.commit;
    } else if (whole && frame.commit && between) {
      state.damaged = true;
    } else if (frame.commit && frame.salt == reader.salt()) {
      between = true;
    }
  }
  if (current) state.torn_bytes += reader.rest();
  return state;
}

void apply_wal(const std::string& path, std::uint32_t page_size, int fd) {
  WalReader reader(path, page_size);
  for (Frame frame; reader.next(frame);) {
    const bool ours = frame.salt == reader.salt() || (frame.follows && !reader.whole_header());
    if (!ours || frame.page == 0) continue;
    write_all_at(fd, frame.content, static_cast<off_t>(frame.page - 1) * page_size);
  }
}

}  // namespace weft::broker
