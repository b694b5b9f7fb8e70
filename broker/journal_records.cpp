// SPDX-License-Identifier: MIT
#include "broker/journal_records.hpp"

#include <fmt/format.h>

#include <array>

#include "common/record_codec.hpp"

namespace weft::wire {

using broker::ChargeRecord, broker::FinalRecord, broker::GoneRecord, broker::SessionRecord,
    broker::SpecRecord, broker::TaskRecord;

template <>
struct Layout<SessionRecord> {
  static constexpr auto fields = std::tuple(&SessionRecord::id, &SessionRecord::name, &SessionRecord::host);
};
template <>
struct Layout<SpecRecord> {
  static constexpr auto fields = std::tuple(&SpecRecord::session, &SpecRecord::spec, &SpecRecord::content);
};
template <>
struct Layout<TaskRecord> {
  static constexpr auto fields = std::tuple(&TaskRecord::session, &TaskRecord::seq, &TaskRecord::spec,
                                            &TaskRecord::submitted_ms, &TaskRecord::payload);
};
template <>
struct Layout<ChargeRecord> {
  static constexpr auto fields = std::tuple(&ChargeRecord::session, &ChargeRecord::charge);
};
template <>
struct Layout<FinalRecord> {
  static constexpr auto fields =
      std::tuple(&FinalRecord::session, &FinalRecord::finished_ms, &FinalRecord::answer);
};
template <>
struct Layout<GoneRecord> {
  static constexpr auto fields = std::tuple(&GoneRecord::session, &GoneRecord::seq);
};

}  // namespace weft::wire

namespace weft::broker {

namespace {

constexpr std::size_t kTypes = std::variant_size_v<JournalRecord>;

template <class R>
JournalRecord read(MsgpackReader& in) {
  R record;
  wire::get(in, record);
  return record;
}

using Reader = JournalRecord (*)(MsgpackReader&);

template <std::size_t... I>
constexpr std::array<Reader, kTypes> readers(std::index_sequence<I...>) {
  return {&read<std::variant_alternative_t<I, JournalRecord>>...};
}

}  // namespace

void append_record(std::string& row, const JournalRecord& record) {
  TextBuilder text;
  wire::put_text(text, record.index() + 1);
  std::visit([&](const auto& r) { wire::put_text(text, r); }, record);
  row += text.view();
}

Result<std::vector<JournalRecord>> decode_row(std::string_view row) {
  static constexpr auto kReaders = readers(std::make_index_sequence<kTypes>{});
  std::vector<JournalRecord> records;
  MsgpackReader in(row);
  while (in.ok() && !in.at_end()) {
    const std::uint64_t type = in.unsigned_number();
    if (type == 0 || type > kTypes)
      return Fault{fmt::format("record {} has the unknown type {}", records.size() + 1, type)};
    records.push_back(kReaders[type - 1](in));
  }
  if (!in.ok()) return Fault{fmt::format("record {} is malformed", records.size())};
  return records;
}

}  // namespace weft::broker
