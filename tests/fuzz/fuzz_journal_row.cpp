// SPDX-License-Identifier: MIT
// Arbitrary bytes as a row of the broker's journal: no crash, and whatever decodes is written as a row that
// decodes to as many records and is written as the same bytes.
#include "broker/scheduler/journal_records.hpp"
#include "tests/fuzz/input.hpp"

using namespace weft;

namespace {

std::string write(const std::vector<broker::JournalRecord>& records) {
  std::string row;
  for (const auto& record : records) broker::append_record(row, record);
  return row;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto records = broker::decode_row({reinterpret_cast<const char*>(data), size});
  if (!records) {
    WEFT_CHECK(!records.fault().empty());
    return 0;
  }
  const std::string row = write(*records);
  const auto again = broker::decode_row(row);
  WEFT_CHECK(again && again->size() == records->size() && write(*again) == row);
  return 0;
}
