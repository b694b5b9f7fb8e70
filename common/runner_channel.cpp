// SPDX-License-Identifier: MIT
#include "common/runner_channel.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "weft/serialise.hpp"

namespace weft::runner {
namespace {

using detail::Reader;
using detail::Writer;

constexpr std::size_t kDescriptorsMax = 16;  // room for more than the one that may come, to close them

// ---- messages: one array each, its first element the type ----

/// All fields but the last, which the caller writes: a payload or a table.
template <class... Field>
void write_fields(Writer& writer, std::uint8_t type, const Field&... field) {
  writer.array(1 + sizeof...(Field) + 1);
  writer.unsigned_integer(type);
  (writer.write(field), ...);
}

void write(Writer& writer, const RunnerHello& hello) {
  write_fields(writer, 1, hello.pid, hello.total);
  writer.array(hello.functions.size());
  for (const FunctionEntry& entry : hello.functions) {
    writer.array(2);
    writer.text(entry.name);
    writer.text(entry.signature);
  }
}

void write(Writer& writer, const TaskDone& done) {
  write_fields(writer, 2, done.ordinal, done.run_us, done.outcome, done.large_bytes);
  writer.bin(done.inline_payload.data(), done.inline_payload.size());
}

void write(Writer& writer, const RunTask& run) {
  write_fields(writer, 3, run.ordinal, run.id.session.bytes, run.id.seq, run.kind, run.function_index,
               run.function, run.signature, run.worker, run.execution, run.large_bytes);
  writer.bin(run.inline_payload.data(), run.inline_payload.size());
}

template <class... Field>
void read_fields(Reader& reader, std::size_t size, Field&... field) {
  if (size != 1 + sizeof...(Field) + 1) throw Error("a message of " + std::to_string(size) + " fields");
  (reader.read(field), ...);
}

template <class E>
void check_range(E value, E last) {
  if (value > last) throw Error("an outcome or kind of task that does not exist");
}

Message read_hello(Reader& reader, std::size_t size) {
  RunnerHello hello;
  read_fields(reader, size, hello.pid, hello.total);
  hello.functions.resize(reader.array());
  for (FunctionEntry& entry : hello.functions) {
    reader.array_of(2);
    entry.name = reader.text();
    entry.signature = reader.text();
  }
  return hello;
}

Message read_done(Reader& reader, std::size_t size) {
  TaskDone done;
  read_fields(reader, size, done.ordinal, done.run_us, done.outcome, done.large_bytes);
  done.inline_payload = reader.bin();
  check_range(done.outcome, wire::Outcome::unschedulable);
  return done;
}

Message read_run(Reader& reader, std::size_t size) {
  RunTask run;
  read_fields(reader, size, run.ordinal, run.id.session.bytes, run.id.seq, run.kind, run.function_index,
              run.function, run.signature, run.worker, run.execution, run.large_bytes);
  run.inline_payload = reader.bin();
  check_range(run.kind, wire::TaskKind::command);
  return run;
}

Message read_message(Reader& reader) {
  const std::size_t size = reader.array();
  switch (const auto type = reader.integer<unsigned>()) {
    case 1:
      return read_hello(reader, size);
    case 2:
      return read_done(reader, size);
    case 3:
      return read_run(reader, size);
    default:
      throw Error("a message of type " + std::to_string(type));
  }
}

/// The first descriptor that came with a message, -1 without one; any others are closed.
int take_descriptor(msghdr& header) {
  int taken = -1;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      if (taken < 0)
        taken = fd;
      else
        close(fd);
    }
  }
  return taken;
}

Received garbage(int fd, std::string reason) {
  if (fd >= 0) close(fd);
  return {.kind = Received::Kind::garbage, .reason = std::move(reason)};
}

}  // namespace

std::string encode(const Message& message) {
  std::string out;
  Writer writer(out);
  std::visit([&](const auto& content) { write(writer, content); }, message);
  return out;
}

Result<Message> decode(std::string_view text) {
  try {
    Reader reader(text);
    Message message = read_message(reader);
    if (!reader.at_end()) return Fault{std::to_string(reader.remaining()) + " bytes are left over"};
    return message;
  } catch (const Error& error) {
    return Fault{error.what()};
  }
}

int send(int channel, const Message& message, int fd) {
  const std::string text = encode(message);
  if (text.size() > kChannelBytesMax) return EMSGSIZE;
  iovec piece{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  }
  for (;;) {
    if (sendmsg(channel, &header, MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

Received receive(int channel) {
  // One byte more than a message may have; allocated once for a thread.
  static thread_local const auto buffer = std::make_unique<char[]>(kChannelBytesMax + 1);
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsMax * sizeof(int))];
  iovec piece{buffer.get(), kChannelBytesMax + 1};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size;
  do {
    size = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
    // ECONNRESET comes once when the other side ended with messages of ours unread, and comes before
    // the messages that it had sent: those are still there.
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    return {.kind = Received::Kind::closed, .reason = std::strerror(errno)};
  }
  const int fd = take_descriptor(header);
  // A SEQPACKET message may be empty, and none of ours is: so this is the end, or as good as one.
  if (size == 0) {
    if (fd >= 0) close(fd);
    return {.kind = Received::Kind::closed, .reason = "closed by the other side"};
  }
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || static_cast<std::size_t>(size) > kChannelBytesMax)
    return garbage(fd, "a message that is too large");
  auto message = decode({buffer.get(), static_cast<std::size_t>(size)});
  if (!message) return garbage(fd, message.fault());
  return {.kind = Received::Kind::message, .message = std::move(*message), .fd = fd};
}

}  // namespace weft::runner
