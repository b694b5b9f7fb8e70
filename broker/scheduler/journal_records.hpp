// SPDX-License-Identifier: MIT
// What the broker's journal says of detached tasks, one record for each thing that happened, and the
// bytes of these records. A row of the journal holds any number of them, one after the other.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/messages.hpp"

namespace weft::broker {

/// A session that has detached tasks. Before everything else of it.
struct SessionRecord {
  Uuid id;
  std::string name;
  std::string host;
  std::string owner;  // name of an identity; "": anonymous
  bool operator==(const SessionRecord&) const = default;
};
/// What tasks of it have in common; its program and libraries are in the folder. Before the first of them.
struct SpecRecord {
  Uuid session;
  std::uint32_t spec = 0;
  wire::TaskSpec content;
  std::uint8_t minor = 0;  // version of the protocol that a broker must know to run its tasks
  bool operator==(const SpecRecord&) const = default;
};
/// A task was accepted; an argument that is a blob is in the folder.
struct TaskRecord {
  Uuid session;
  std::uint64_t seq = 0;
  std::uint32_t spec = 0;
  std::int64_t submitted_ms = 0;  // since 1970
  wire::Payload payload;
  bool operator==(const TaskRecord&) const = default;
};
/// An attempt of it was counted.
struct ChargeRecord {
  Uuid session;
  wire::DeliveryRecord charge;
  bool operator==(const ChargeRecord&) const = default;
};
/// It has its answer; a result that is a blob is in the folder.
struct FinalRecord {
  Uuid session;
  std::int64_t finished_ms = 0;
  wire::DeliveryRecord answer;
  bool operator==(const FinalRecord&) const = default;
};
/// The answer was fetched, or kept long enough.
struct GoneRecord {
  Uuid session;
  std::uint64_t seq = 0;
  bool operator==(const GoneRecord&) const = default;
};

/// The order is the type number in the journal, from 1: append only.
using JournalRecord =
    std::variant<SessionRecord, SpecRecord, TaskRecord, ChargeRecord, FinalRecord, GoneRecord>;

void append_record(std::string& row, const JournalRecord& record);
/// All records of a row, as a broker of version `own_minor` knows them, or what is wrong with it.
Result<std::vector<JournalRecord>> decode_row(std::string_view row, std::uint8_t own_minor = wire::kMinor);

}  // namespace weft::broker
