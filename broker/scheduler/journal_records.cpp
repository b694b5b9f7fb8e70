// SPDX-License-Identifier: MIT
#include "broker/scheduler/journal_records.hpp"

#include <fmt/format.h>

#include <array>

#include "common/wire/record_codec.hpp"

namespace weft::wire {

using broker::ChargeRecord, broker::FinalRecord, broker::GoneRecord, broker::SessionRecord,
    broker::SpecRecord, broker::TaskRecord;

template <>
struct Layout<SessionRecord> {
  WEFT_LAYOUT(SessionRecord);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(id), WEFT_FIELD(name), WEFT_FIELD(host), WEFT_FIELD(owner).optional());
};
template <>
struct Layout<SpecRecord> {
  WEFT_LAYOUT(SpecRecord);
  static constexpr auto fields =
      std::tuple(WEFT_FIELD(session), WEFT_FIELD(spec), WEFT_FIELD(content), WEFT_FIELD(minor).optional());
};
template <>
struct Layout<TaskRecord> {
  WEFT_LAYOUT(TaskRecord);
  static constexpr bool forwarded = true;
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(seq), WEFT_FIELD(spec),
                                            WEFT_FIELD(submitted_ms), WEFT_FIELD(payload));
};
template <>
struct Layout<ChargeRecord> {
  WEFT_LAYOUT(ChargeRecord);
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(charge));
};
template <>
struct Layout<FinalRecord> {
  WEFT_LAYOUT(FinalRecord);
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(finished_ms), WEFT_FIELD(answer));
};
template <>
struct Layout<GoneRecord> {
  WEFT_LAYOUT(GoneRecord);
  static constexpr auto fields = std::tuple(WEFT_FIELD(session), WEFT_FIELD(seq));
};

}  // namespace weft::wire

namespace weft::broker {

namespace {

constexpr std::size_t kTypes = std::variant_size_v<JournalRecord>;

template <class R>
JournalRecord read_as(wire::RecordReader& in) {
  R record;
  wire::read(in, record);
  return record;
}

using Reader = JournalRecord (*)(wire::RecordReader&);

template <std::size_t... I>
constexpr std::array<Reader, kTypes> readers(std::index_sequence<I...>) {
  return {&read_as<std::variant_alternative_t<I, JournalRecord>>...};
}

}  // namespace

void append_record(std::string& row, const JournalRecord& record) {
  wire::ByteBuffer bytes;
  wire::append(bytes, record.index() + 1);
  std::visit([&](const auto& r) { wire::append(bytes, r); }, record);
  row += bytes.view();
}

Result<std::vector<JournalRecord>> decode_row(std::string_view row, std::uint8_t own_minor) {
  static constexpr auto kReaders = readers(std::make_index_sequence<kTypes>{});
  std::vector<JournalRecord> records;
  // A row does not say which version wrote it.
  wire::RecordReader in(row, {.own = own_minor, .peer = UINT8_MAX});
  while (in.ok() && !in.at_end()) {
    const std::uint64_t type = in.integer<std::uint64_t>();
    if (type == 0 || type > kTypes)
      return Fault{fmt::format("record {} has the unknown type {}", records.size() + 1, type)};
    records.push_back(kReaders[type - 1](in));
  }
  if (!in.ok()) return Fault{fmt::format("record {} is malformed: {}", records.size(), in.fault())};
  return records;
}

}  // namespace weft::broker
