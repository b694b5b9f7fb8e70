// SPDX-License-Identifier: MIT
// The protocol's description of itself: every message, record and enumeration, for the tables of PROTOCOL.md
// and as JSON for authors of clients in other languages; and the content of a frame with the names of its
// fields.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "common/wire/messages.hpp"

namespace weft::wire {

/// The tables of PROTOCOL.md in Markdown: messages in the order of their type numbers, then records, then
/// enumerations.
std::string schema_markdown();

/// The same as JSON: {"major", "minor", "messages": [{"type", "name", "fields", "records"}], "records",
/// "enumerations"}. A field has name, type, unit, meaning, since, weight, and its default unless it is
/// required.
nlohmann::ordered_json schema_json();

/// The content of a message: an object with a member for each field, and "records" for a batch. Ids and bytes
/// are in hexadecimal, enumerators by name.
nlohmann::ordered_json to_json(const Message& message);

/// "HELLO_CLIENT" for "HelloClient": the name in PROTOCOL.md.
std::string message_name(std::string_view type);

}  // namespace weft::wire
