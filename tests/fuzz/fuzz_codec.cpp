// SPDX-License-Identifier: MIT
// Arbitrary bytes as a frame, to peers of each minor version, and as an ErrorInfo: no crash, and whatever
// decodes is encoded to bytes that decode to the same.
#include "common/wire/codec.hpp"
#include "tests/fuzz/input.hpp"

using namespace weft;

namespace {

/// Decodes the frame as a peer of version `minor`, and encodes it again.
void check(std::string_view frame, std::uint8_t minor) {
  const auto message = wire::decode(frame, minor);
  if (!message) {
    WEFT_CHECK(!message.fault().empty());
    return;
  }
  WEFT_CHECK(!wire::describe(*message).empty());
  // An unknown enumerator is malformed for the next reader, since this side's version does not have it.
  const std::string encoded = wire::encode(*message, minor);
  const auto again = wire::decode(encoded, minor);
  if (!again) {
    WEFT_CHECK(wire::minor_of(frame) > minor);
    return;
  }
  WEFT_CHECK(again->index() == message->index());
  // Compares bytes, not values: a NaN among the amounts is not equal to itself.
  WEFT_CHECK(wire::encode(*again, minor) == encoded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view frame(reinterpret_cast<const char*>(data), size);
  (void)wire::version_mismatch(frame);
  for (std::uint8_t minor = 0; minor <= wire::kMinor; ++minor) check(frame, minor);
  if (const auto info = wire::decode_error(frame)) {
    const auto again = wire::decode_error(wire::encode_error(*info));
    WEFT_CHECK(again && *again == *info);
  }
  return 0;
}
