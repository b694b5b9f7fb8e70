// SPDX-License-Identifier: MIT
// The records of the broker's journal, one for each event in the life of a detached task, and their encoding.
// A row of the journal contains any number of records, one after the other.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/messages.hpp"

namespace weft::broker {

/// A session that has detached tasks. Comes before all other records of the session.
struct SessionRecord {
  Uuid id;
  std::string name;
  std::string host;
  std::string owner;  // name of an identity; "": anonymous
  bool operator==(const SessionRecord&) const = default;
};
/// A spec, which tasks of the session have in common. Comes before the first of these tasks; the spec's
/// program and libraries are in the blob directory.
struct SpecRecord {
  Uuid session;
  std::uint32_t spec = 0;
  wire::TaskSpec content;
  std::uint8_t minor = 0;  // version of the protocol that a broker must know to run its tasks
  bool operator==(const SpecRecord&) const = default;
};
/// A task was accepted; an argument that is a blob is in the blob directory.
struct TaskRecord {
  Uuid session;
  std::uint64_t seq = 0;
  std::uint32_t spec = 0;
  std::int64_t submitted_ms = 0;  // since 1970
  wire::Payload payload;
  bool operator==(const TaskRecord&) const = default;
};
/// A failed attempt of a task was charged.
struct ChargeRecord {
  Uuid session;
  wire::DeliveryRecord charge;
  bool operator==(const ChargeRecord&) const = default;
};
/// A task has its answer; a result that is a blob is in the blob directory.
struct FinalRecord {
  Uuid session;
  std::int64_t finished_ms = 0;
  wire::DeliveryRecord answer;
  bool operator==(const FinalRecord&) const = default;
};
/// The answer was fetched or has expired, and was dropped.
struct GoneRecord {
  Uuid session;
  std::uint64_t seq = 0;
  bool operator==(const GoneRecord&) const = default;
};

/// The order is the type number in the journal, from 1: append only.
using JournalRecord =
    std::variant<SessionRecord, SpecRecord, TaskRecord, ChargeRecord, FinalRecord, GoneRecord>;

/// Appends the encoded record to `row`.
void append_record(std::string& row, const JournalRecord& record);
/// Decodes all records of a row, as a broker of protocol version `own_minor` knows them. Fault: what is wrong
/// with the row.
Result<std::vector<JournalRecord>> decode_row(std::string_view row, std::uint8_t own_minor = wire::kMinor);

}  // namespace weft::broker
