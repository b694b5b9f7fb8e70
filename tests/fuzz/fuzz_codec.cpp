// SPDX-License-Identifier: MIT
// Arbitrary bytes as a frame and as an ErrorInfo: no crash, and what decodes encodes to something that
// decodes to the same.
#include "common/codec.hpp"
#include "tests/fuzz/input.hpp"

using namespace weft;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view frame(reinterpret_cast<const char*>(data), size);
  (void)wire::version_mismatch(frame);
  if (const auto message = wire::decode(frame)) {
    const std::string encoded = wire::encode(*message);
    const auto again = wire::decode(encoded);
    WEFT_CHECK(again);
    WEFT_CHECK(again->index() == message->index());
    // Bytes, not values: a NaN among the amounts is not equal to itself.
    WEFT_CHECK(wire::encode(*again) == encoded);
    WEFT_CHECK(!wire::describe(*message).empty());
  } else {
    WEFT_CHECK(!message.fault().empty());
  }
  if (const auto info = wire::decode_error(frame)) {
    const auto again = wire::decode_error(wire::encode_error(*info));
    WEFT_CHECK(again && *again == *info);
  }
  return 0;
}
