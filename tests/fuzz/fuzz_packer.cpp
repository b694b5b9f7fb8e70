// SPDX-License-Identifier: MIT
// Any sequence of messages through the Packer: the frames must decode, and contain the same records in the
// same order and with the same numbers.
#include <vector>

#include "common/wire/codec.hpp"
#include "tests/fuzz/draw.hpp"

using namespace weft;

namespace {

/// Splits a message into messages of one record each, which coalescing by the Packer may not change.
void take_apart(const wire::Message& message, std::vector<std::string>& out) {
  std::visit(
      [&]<class M>(const M& m) {
        if constexpr (wire::Batch<M>) {
          constexpr auto kRecords = wire::Layout<M>::records;
          for (std::size_t i = 0; i < (m.*kRecords).size(); ++i) {
            M one;
            wire::for_each_description<M>([&](const auto& field) { one.*field.member = m.*field.member; });
            if constexpr (wire::NumberedBatch<M>) one.first = m.first + i;
            if constexpr (requires { one.fresh; }) one.fresh = m.fresh && i == 0;
            (one.*kRecords).push_back((m.*kRecords)[i]);
            out.push_back(wire::encode(one));
          }
        } else {
          out.push_back(wire::encode(m));
        }
      },
      message);
}

/// Makes the payloads so large that a few records fill a frame.
void inflate(fuzz::Input& in, wire::Message& message) {
  std::visit(
      [&]<class M>(M& m) {
        if constexpr (wire::Batch<M>) {
          for (auto& record : m.*wire::Layout<M>::records) {
            if constexpr (requires { record.payload; })
              record.payload = wire::Payload(std::string(wire::kInlineBytesMax - in.below(3), 'x'));
          }
        }
      },
      message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  wire::Packer packer;
  std::vector<std::string> put;
  std::vector<std::string> taken;
  const auto take = [&] {
    if (const auto frame = packer.take()) {
      WEFT_CHECK(frame->size() <= wire::kMessageBytesMax + wire::kInlineBytesMax);
      const auto message = wire::decode(*frame);
      WEFT_CHECK(message);
      take_apart(*message, taken);
    }
  };
  for (int steps = 0; !in.empty() && steps < 200; ++steps) {
    if (in.one_in(6)) {
      take();
      continue;
    }
    wire::Message message = fuzz::draw_any(in);
    if (in.one_in(4)) inflate(in, message);
    // A batch whose first number is near the maximum has no numbers for its records.
    const bool too_far = std::visit(
        []<class M>(const M& m) {
          if constexpr (wire::NumberedBatch<M>) return m.first > UINT64_MAX - 100'000;
          return false;
        },
        message);
    if (too_far) continue;
    for (std::size_t copies = in.one_in(8) ? 20 : 1; copies > 0; --copies) {
      take_apart(message, put);
      packer.add(message);
    }
  }
  while (!packer.empty()) take();
  WEFT_CHECK(!packer.take());
  WEFT_CHECK(taken == put);
  return 0;
}
