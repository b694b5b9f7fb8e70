// SPDX-License-Identifier: MIT
#include "common/wire/codec.hpp"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "common/wire/record_codec.hpp"

namespace weft::wire {

namespace {

constexpr std::string_view kMagic = "WEFT";
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kTypes = std::variant_size_v<AnyMessage>;
// Large enough that the overhead of a frame is small, and small enough that the receiver can start early.
constexpr std::size_t kPackedBytes = 64 << 10;
static_assert(kPackedBytes + kInlineBytesMax < kMessageBytesMax);

ByteBuffer header_of(std::size_t index, std::uint8_t minor) {
  const char rest[] = {static_cast<char>(kMajor), static_cast<char>(minor), static_cast<char>(index + 1),
                       '\0'};
  ByteBuffer frame(kMagic);
  frame.append(rest, sizeof rest);
  return frame;
}

bool is_weft(std::string_view frame) {
  return frame.size() >= kHeaderBytes && frame.substr(0, kMagic.size()) == kMagic;
}

// ---- reading ----

template <class M>
Result<Message> decode_body(std::string_view body, Minors minors) {
  RecordReader in(body, minors);
  M message;
  read_fields(in, message);
  if constexpr (Batch<M>) {
    auto& records = message.*Layout<M>::records;
    while (in.ok() && !in.at_end()) {
      const std::size_t before = in.remaining();
      read_record(in, records.emplace_back());
      // Reserves by the size of the first record: the others are mostly alike.
      if (records.size() == 1) records.reserve(1 + in.remaining() / (before - in.remaining()));
    }
  }
  if (!in.ok()) return Fault{fmt::format("malformed {}: {}", Layout<M>::name, in.fault())};
  if (!in.at_end()) return Fault{fmt::format("{} bytes too many in {}", in.remaining(), Layout<M>::name)};
  return Message(std::move(message));
}

using BodyDecoder = Result<Message> (*)(std::string_view, Minors);

template <std::size_t... I>
constexpr std::array<BodyDecoder, kTypes> body_decoders(std::index_sequence<I...>) {
  return {&decode_body<std::variant_alternative_t<I, AnyMessage>>...};
}

/// `message` without its records.
template <Batch M>
M head_of(const M& message) {
  M head;
  for_each_description<M>([&](const auto& field) { head.*field.member = message.*field.member; });
  return head;
}

}  // namespace

std::string encode(const Message& message, std::uint8_t own_minor) {
  ByteBuffer frame = header_of(message.index(), own_minor);
  std::visit(
      [&]<class M>(const M& m) {
        append(frame, m);
        if constexpr (Batch<M>) {
          for (const auto& record : m.*Layout<M>::records) append(frame, record);
        }
      },
      message);
  return frame.take();
}

Result<Message> decode(std::string_view frame, std::uint8_t own_minor) {
  static constexpr auto kDecoders = body_decoders(std::make_index_sequence<kTypes>{});
  if (!is_weft(frame)) return Fault{"not a Weft message"};
  if (auto mismatch = version_mismatch(frame)) return Fault{*mismatch};
  const auto type = static_cast<std::uint8_t>(frame[6]);
  const Minors minors{own_minor, minor_of(frame)};
  // A message type that a newer minor version has added counts as a sign of life only.
  if (type > kTypes && minors.peer > minors.own) return Message(Heartbeat{});
  if (type == 0 || type > kTypes) return Fault{fmt::format("unknown message type {}", type)};
  return kDecoders[type - 1U](frame.substr(kHeaderBytes), minors);
}

std::uint8_t minor_of(std::string_view frame) {
  return is_weft(frame) ? static_cast<std::uint8_t>(frame[5]) : 0;
}

std::optional<std::string> version_mismatch(std::string_view frame) {
  if (!is_weft(frame)) return std::nullopt;
  const auto major = static_cast<std::uint8_t>(frame[4]);
  if (major == kMajor) return std::nullopt;
  return fmt::format("the peer speaks Weft protocol {}.{} and this side {}.{}: the first numbers must agree",
                     major, minor_of(frame), kMajor, kMinor);
}

std::string encode_error(const ErrorInfo& info) {
  constexpr std::size_t kTextMax = 16'000;
  for (std::string ErrorInfo::*const text :
       {&ErrorInfo::type, &ErrorInfo::message, &ErrorInfo::stderr_tail}) {
    if ((info.*text).size() <= kTextMax) continue;
    ErrorInfo shorter = info;
    shorter.*text = (info.*text).substr(0, kTextMax - 100) +
                    fmt::format("... ({} bytes more)", (info.*text).size() - (kTextMax - 100));
    return encode_error(shorter);
  }
  ByteBuffer bytes;
  append(bytes, info);
  return bytes.take();
}

Result<ErrorInfo> decode_error(std::string_view bytes) {
  // The error was written by a worker, whose version is not known here.
  RecordReader in(bytes, {.own = kMinor, .peer = UINT8_MAX});
  ErrorInfo info;
  read(in, info);
  if (!in.ok() || !in.at_end()) return Fault{"malformed ErrorInfo"};
  return info;
}

namespace {

template <class T>
void find_newest(const T& value, std::optional<Requirement>& newest, std::uint8_t minor) {
  if constexpr (HasLayout<T>) {
    for_each_description<T>([&](const auto& field) {
      const auto& member = value.*field.member;
      if (field.since > minor && field.weight == Weight::essential &&
          !(member == defaults<T>().*field.member) && (!newest || newest->minor < field.since)) {
        newest = Requirement{field.name, field.since};
      }
      find_newest(member, newest, minor);
    });
  } else if constexpr (kIsVector<T>) {
    for (const auto& element : value) find_newest(element, newest, minor);
  }
}

}  // namespace

std::optional<Requirement> required_beyond(const TaskSpec& spec, std::uint8_t minor) {
  std::optional<Requirement> newest;
  find_newest(spec, newest, minor);
  return newest;
}

std::string encode_ref(const TaskRef& task) {
  std::string bytes(reinterpret_cast<const char*>(task.session.bytes.data()), task.session.bytes.size());
  bytes.append(reinterpret_cast<const char*>(&task.seq), sizeof task.seq);
  return bytes;
}

TaskRef decode_ref(std::string_view bytes) {
  TaskRef task;
  if (bytes.size() != sizeof task.session.bytes + sizeof task.seq) return {};
  std::memcpy(task.session.bytes.data(), bytes.data(), sizeof task.session.bytes);
  std::memcpy(&task.seq, bytes.data() + sizeof task.session.bytes, sizeof task.seq);
  return task;
}

// ---- packing ----

void Packer::add(const Message& message) {
  if (append_to_open(message)) return;
  close();
  const bool batch = std::visit([]<class M>(const M&) { return Batch<M>; }, message);
  if (!batch) {
    frames_.push_back(encode(message, own_minor_));
    return;
  }
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (Batch<M>) {
          M head = head_of(m);
          open_ = header_of(message.index(), own_minor_);
          append(open_, head);
          if constexpr (NumberedBatch<M>) open_next_ = m.first;
          open_head_ = std::move(head);
        }
      },
      message);
  append_to_open(message);
}

bool Packer::append_to_open(const Message& message) {
  if (open_.empty() || message.index() != open_head_.index()) return false;
  return std::visit(
      [&]<class M>(const M& m) {
        if constexpr (Batch<M>) {
          M head = head_of(m);
          M& open_head = std::get<M>(open_head_);
          if constexpr (NumberedBatch<M>) {
            if (m.first != open_next_) return false;
            head.first = open_head.first;
          }
          if (head != open_head) return false;
          for (const auto& record : m.*Layout<M>::records) {
            const std::size_t before = open_.size();
            append(open_, record);
            if (open_.size() > kPackedBytes && open_records_ > 0) {  // the record starts the next frame
              const std::string moved(open_.view().substr(before));
              open_.truncate(before);
              close();
              if constexpr (NumberedBatch<M>) open_head.first = open_next_;
              // only the first frame begins at the oldest result
              if constexpr (requires { open_head.fresh; }) open_head.fresh = false;
              open_ = header_of(message.index(), own_minor_);
              append(open_, open_head);
              open_.append(moved.data(), moved.size());
            }
            ++open_records_;
            if constexpr (NumberedBatch<M>) ++open_next_;
          }
          return true;
        } else {
          return false;
        }
      },
      message);
}

void Packer::close() {
  if (!open_.empty()) frames_.push_back(open_.take());
  open_records_ = 0;
}

std::optional<std::string> Packer::take() {
  if (taken_ == frames_.size()) {
    frames_.clear();
    taken_ = 0;
    close();
    if (frames_.empty()) return std::nullopt;
  }
  return std::move(frames_[taken_++]);
}

// ---- describing ----

namespace {

template <class T>
void describe_to(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    out += fmt::format("\"{}\"", std::string_view(value).substr(0, 60));
  } else if constexpr (kIsId<T>) {
    out += value.text(8);
  } else if constexpr (std::is_same_v<T, Payload>) {
    out += value.is_blob() ? fmt::format("blob {} of {} B", value.blob().id.text(8), value.blob().size)
                           : fmt::format("{} B", value.size());
  } else if constexpr (std::is_same_v<T, Bytes>) {
    out += fmt::format("{} B", value.size());
  } else if constexpr (std::is_enum_v<T>) {
    out += fmt::format("{}", static_cast<int>(value));
  } else if constexpr (HasLayout<T>) {
    out += '(';
    const std::size_t begin = out.size();
    for_each_field(value, [&](const auto& field) {
      if (out.size() > begin) out += ' ';
      describe_to(out, field);
    });
    out += ')';
  } else if constexpr (kIsVector<T>) {
    constexpr std::size_t kShown = 4;
    out += '[';
    for (std::size_t i = 0; i < value.size() && i < kShown; ++i) describe_to(out, value[i]);
    if (value.size() > kShown) out += fmt::format(" and {} more", value.size() - kShown);
    out += ']';
  } else if constexpr (std::is_same_v<T, Amounts> || std::is_same_v<T, Texts>) {
    for (const auto& [name, content] : value) out += fmt::format("{}={} ", name, content);
  } else {
    out += fmt::format("{}", value);
  }
}

}  // namespace

std::string describe(const Message& message) {
  return std::visit(
      []<class M>(const M& m) {
        std::string out(Layout<M>::name);
        if constexpr (kFieldCount < M >> 0) describe_to(out, m);
        if constexpr (Batch<M>) describe_to(out, m.*Layout<M>::records);
        return out;
      },
      message);
}

}  // namespace weft::wire
