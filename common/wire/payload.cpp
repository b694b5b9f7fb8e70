// SPDX-License-Identifier: MIT
#include "common/wire/payload.hpp"

#include <cstring>

namespace weft::wire {

namespace {

/// Header of a payload that has a tail.
struct TailHead {
  std::uint32_t fields = 0;
  std::uint32_t behind = 0;
  std::uint32_t bytes = 0;
};

TailHead head_of(std::string_view bytes) {
  TailHead head;
  std::memcpy(&head, bytes.data(), sizeof head);
  return head;
}

void append(std::string& out, const void* bytes, std::size_t size) {
  out.append(static_cast<const char*>(bytes), size);
}

}  // namespace

Payload::Payload(const BlobRef& ref) {
  std::string bytes;
  append(bytes, ref.holder.bytes.data(), ref.holder.bytes.size());
  append(bytes, ref.id.bytes.data(), ref.id.bytes.size());
  append(bytes, &ref.size, sizeof ref.size);
  bytes_ = Bytes(bytes);
  bytes_.set_marks(kBlob);
}

std::string_view Payload::content() const {
  const std::string_view bytes = bytes_.view();
  return has_tail() ? bytes.substr(sizeof(TailHead) + head_of(bytes).bytes) : bytes;
}

std::string_view Payload::inline_bytes() const {
  WEFT_CHECK(!is_blob());
  return content();
}

BlobRef Payload::blob() const {
  WEFT_CHECK(is_blob());
  BlobRef ref;
  const char* const bytes = content().data();
  std::memcpy(ref.holder.bytes.data(), bytes, sizeof ref.holder.bytes);
  std::memcpy(ref.id.bytes.data(), bytes + sizeof ref.holder.bytes, sizeof ref.id.bytes);
  std::memcpy(&ref.size, bytes + sizeof ref.holder.bytes + sizeof ref.id.bytes, sizeof ref.size);
  return ref;
}

Tail Payload::tail() const {
  if (!has_tail()) return {};
  const TailHead head = head_of(bytes_.view());
  return {head.fields, head.behind, std::string(bytes_.view().substr(sizeof head, head.bytes))};
}

Payload Payload::with_tail(const Tail& tail) const {
  std::string bytes;
  if (!tail.empty()) {
    const TailHead head{tail.fields, tail.behind, static_cast<std::uint32_t>(tail.bytes.size())};
    append(bytes, &head, sizeof head);
    bytes += tail.bytes;
  }
  bytes += content();
  Payload out{Bytes(bytes)};
  out.bytes_.set_marks((is_blob() ? kBlob : 0) | (tail.empty() ? 0 : kTail));
  return out;
}

}  // namespace weft::wire
