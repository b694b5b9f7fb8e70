// SPDX-License-Identifier: MIT
#include "common/wire/runner_messages.hpp"

#include "common/wire/runner_layout.hpp"

namespace weft::runner {
namespace {

template <class M>
std::string decode_as(std::string_view bytes, std::optional<Message>& message) {
  M& value = std::get<M>(message.emplace(std::in_place_type<M>));
  if constexpr (wire::bytes_max_of<M>() > 0) {
    wire::QuickReader quick(bytes);
    quick.read(value);
    if (quick.ok() && quick.next() == bytes.data() + bytes.size()) return "";
    value = M{};
  }
  wire::RecordReader in(bytes);
  wire::read(in, value);
  if (!in.ok()) return in.fault();
  if (!in.at_end()) return std::to_string(in.remaining()) + " bytes are left over";
  return "";
}

}  // namespace

std::string decode_into(std::string_view bytes, std::optional<Message>& message) {
  if (bytes.empty()) return "nothing";
  const auto type = static_cast<unsigned>(static_cast<unsigned char>(bytes[0]));
  bytes.remove_prefix(1);
  switch (type) {
    case 1:
      return decode_as<RunnerHello>(bytes, message);
    case 2:
      return decode_as<TaskDone>(bytes, message);
    case 3:
      return decode_as<RunnerWelcome>(bytes, message);
    case 4:
      return decode_as<RunTask>(bytes, message);
    case 5:
      return decode_as<RunNamed>(bytes, message);
    case 6:
      return decode_as<TaskPrinted>(bytes, message);
    default:
      return "a message of type " + std::to_string(type);
  }
}

template <class M>
void encode(detail::ByteBuffer& out, const M& message) {
  if constexpr (std::is_same_v<M, Message>) {
    std::visit([&](const auto& content) { encode(out, content); }, message);
  } else {
    const char type = type_of<M>();
    out.append(&type, 1);
    wire::append(out, message);
  }
}
template void encode(detail::ByteBuffer& out, const Message& message);
template void encode(detail::ByteBuffer& out, const RunnerHello& message);
template void encode(detail::ByteBuffer& out, const TaskDone& message);
template void encode(detail::ByteBuffer& out, const RunnerWelcome& message);
template void encode(detail::ByteBuffer& out, const RunTask& message);
template void encode(detail::ByteBuffer& out, const RunNamed& message);
template void encode(detail::ByteBuffer& out, const TaskPrinted& message);

Bytes encode_setup(const TaskSetup& setup) {
  detail::ByteBuffer bytes;
  wire::append(bytes, setup);
  return Bytes(std::string_view(bytes));
}

Result<TaskSetup> decode_setup(std::string_view bytes) {
  wire::RecordReader in(bytes);
  TaskSetup setup;
  wire::read(in, setup);
  if (!in.ok() || !in.at_end()) return Fault{"the setup of the task is malformed"};
  return setup;
}

Result<Message> decode(std::string_view text) {
  const std::string padded = std::string(text) + std::string(kSlack, '\0');
  std::optional<Message> message;
  const std::string fault = decode_into(std::string_view(padded).substr(0, text.size()), message);
  if (!fault.empty()) return Fault{fault};
  return std::move(*message);
}

}  // namespace weft::runner
