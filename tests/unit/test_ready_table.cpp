// SPDX-License-Identifier: MIT
// The decision tables of READY in PROTOCOL.md section 4, row by row: the test builds the cells of a row in a
// Scheduler (ready_situation.cpp), the worker says READY, and the row's last cell is compared with the
// messages that the broker sends then and later.
#include <set>

#include "tests/unit/ready_situation.hpp"
#include "tests/unit/ready_table.hpp"

namespace weft::broker {

namespace {

using wire::ClaimState;
using wire::Outcome;

// ---- the broker's messages ----

/// How often `actions` assign the task; each ASSIGN must name the execution that the task has reached.
std::size_t assigns(const Situation& s, const Actions& actions) {
  std::size_t count = 0;
  for (const Action& action : actions) {
    const auto* send = std::get_if<Send>(&action);
    const auto* assign = send != nullptr ? std::get_if<wire::Assign>(&send->message) : nullptr;
    if (assign == nullptr) continue;
    for (const auto& task : assign->tasks) {
      CHECK(task.execution == s.execution);
      ++count;
    }
  }
  return count;
}

/// Removes `expected` from the actions after READY, where it must be exactly once.
void take_out(Situation& s, const Send& expected) { CHECK(std::erase(s.after, Action(expected)) == 1); }

void take_revoke(Situation& s, const TestWorker& of, const wire::Attempt& attempt) {
  take_out(s, s.h.revoke(of, s.client, 1, attempt.number, wire::RevokeMode::cancel, attempt.epoch));
}

/// An idle worker joins, and ten seconds pass.
Actions time_passes(Situation& s) {
  if (s.spare.peer == kNoPeer) {
    s.h.hello(s.spare);
    CHECK(s.h.take() == Actions{s.h.welcome(s.spare, false)});
    s.h.ready(s.spare);
  }
  s.h.advance(10s);
  return s.h.take();
}

// ---- the phrases of the last column ----

void is_current(Situation& s, bool charged) {
  CHECK(assigns(s, s.after) == 0);
  CHECK(assigns(s, time_passes(s)) == 0);
  const Actions end = s.say_result(s.worker, s.claim.attempt, s.ending);
  if (s.ending == Outcome::ok || charged) {
    CHECK(delivered(end) == std::vector{s.ending});
    return;
  }
  CHECK(delivered(end).empty());
  CHECK(assigns(s, end) + assigns(s, time_passes(s)) == 1);
}

void adopt(Situation& s) {
  CHECK(s.current.attempt != s.claim.attempt);
  is_current(s, true);
}
void adopt_without_charge(Situation& s) { is_current(s, false); }
void confirm(Situation& s) {
  CHECK(s.assigned_before == 1);
  CHECK(s.current.attempt == s.claim.attempt);
  CHECK(s.after == Actions{});
  is_current(s, true);
}

/// The task goes on without the claimed attempt. A failure of that attempt counts for nothing; its success
/// answers the task if the task is open.
void is_not_current(Situation& s) {
  if (s.ending == Outcome::ok && s.otherwise != Otherwise::closed) {
    CHECK(delivered(s.say_result(s.worker, s.claim.attempt, s.ending)) == std::vector{Outcome::ok});
    return;
  }
  const Actions later = time_passes(s);
  CHECK(delivered(later).empty());
  CHECK(assigns(s, s.after) + assigns(s, later) == (s.otherwise == Otherwise::assigned ? 1 : 0));
  const Actions end = s.say_result(s.worker, s.claim.attempt, s.ending);
  CHECK(delivered(end).empty());
  CHECK(assigns(s, end) + assigns(s, time_passes(s)) == 0);
  if (s.otherwise == Otherwise::elsewhere) {
    CHECK(delivered(s.say_result(*s.holder, s.current.attempt, Outcome::ok)) == std::vector{Outcome::ok});
  }
}

void then_what(Situation& s) {
  CHECK(s.after == Actions{});
  REQUIRE_MESSAGE(s.then, "the row holds the claim and names no event that ends that");
  std::exchange(s.then, {})();
  s.after = s.h.take();
}
void revoke(Situation& s) {
  take_revoke(s, s.worker, s.claim.attempt);
  if (s.then) then_what(s);  // revoked at once, since a later claim is held
  is_not_current(s);
}
void revoke_the_other(Situation& s) { take_revoke(s, *s.holder, s.current.attempt); }
void hold(Situation& s) {
  CHECK_MESSAGE(s.current.attempt.number == 0, "a later claim is held");
  then_what(s);
}
void nothing(Situation& s) {
  if (s.then) {
    CHECK_MESSAGE(s.current.attempt.number != 0, "the claim is held");
    then_what(s);
  }
  CHECK_MESSAGE(s.claims, "the worker does not claim it");
  is_not_current(s);
}

void queue_again(Situation& s) {
  CHECK_MESSAGE(!s.claims, "the worker claims it");
  CHECK(assigns(s, s.after) == 1);
  CHECK(assigns(s, time_passes(s)) == 0);
}
void await_claim(Situation& s) {
  CHECK(assigns(s, s.after) == 0);
  s.until(1999ms);
  CHECK(s.h.take() == Actions{});
  s.until(2s);
  const Actions end = s.h.take();
  const bool once = s.spec.crash_limit == 1;
  CHECK(delivered(end) == (once ? std::vector{Outcome::crashed} : std::vector<Outcome>{}));
  CHECK(assigns(s, end) == (once ? 0 : 1));
}
void answer_crashed(Situation& s) {
  CHECK(delivered(s.after) == std::vector{Outcome::crashed});
  CHECK(assigns(s, s.after) + assigns(s, time_passes(s)) == 0);
}
void forget(Situation& s) {
  CHECK(s.after == Actions{});
  CHECK(s.assigned_before == 1);
  CHECK(s.h.status().assigned == 0);
  CHECK(time_passes(s) == Actions{});
}
void end_session(Situation& s) {
  take_out(s, Harness::to(s.worker, wire::EndSession{s.client.session}));
  is_not_current(s);
}

const std::map<std::string, SetUp> kWords{{"adopt", adopt},
                                          {"adopt without charge", adopt_without_charge},
                                          {"confirm", confirm},
                                          {"revoke", revoke},
                                          {"revoke the other", revoke_the_other},
                                          {"hold", hold},
                                          {"nothing", nothing},
                                          {"queue again", queue_again},
                                          {"await claim", await_claim},
                                          {"answer crashed", answer_crashed},
                                          {"forget", forget},
                                          {"end session", end_session}};

// ---- rows of tables A to D ----

/// One value for each column of the table, in the order of setup.
using Combination = std::vector<std::string>;

struct Runner {
  const std::vector<NamedColumn>& columns;
  std::vector<std::set<std::string>> used;  // cells, by column
  std::set<Combination> decided{};

  /// The values that the row's cell of this column stands for.
  std::vector<std::string> values(const ReadyTable& table, const ReadyTable::Row& row, std::size_t column) {
    const auto at = std::find(table.header.begin(), table.header.end(), columns[column].header);
    REQUIRE_MESSAGE(at != table.header.end(), "table of row ", row.id, " has no column '",
                    columns[column].header, "'");
    const std::string& cell = row.cells[static_cast<std::size_t>(at - table.header.begin())];
    const Column& known = columns[column].cells;
    std::vector<std::string> found;
    if (cell == "any") {
      for (const auto& [value, set_up] : known) found.push_back(value);
      return found;
    }
    for (const std::string& value : split(cell, " or ")) {
      CHECK_MESSAGE(known.contains(value), "row ", row.id, ", column '", columns[column].header,
                    "': there is no set-up for '", value, "'");
      if (!known.contains(value)) continue;
      used[column].insert(value);
      found.push_back(value);
    }
    return found;
  }

  std::vector<Combination> combinations(const ReadyTable& table, const ReadyTable::Row& row) {
    std::vector<Combination> all{{}};
    for (std::size_t column = 0; column < columns.size(); ++column) {
      std::vector<Combination> longer;
      for (const std::string& value : values(table, row, column)) {
        for (Combination combination : all) {
          combination.push_back(value);
          longer.push_back(std::move(combination));
        }
      }
      all = std::move(longer);
    }
    return all;
  }

  void run(const ReadyTable::Row& row, const Combination& combination, Outcome ending) {
    Situation s;
    s.ending = ending;
    for (std::size_t column = 0; column < columns.size(); ++column)
      columns[column].cells.at(combination[column])(s);
    s.say_ready();
    if (s.being_stopped && s.current.attempt != s.claim.attempt && s.holder == &s.worker)
      take_revoke(s, s.worker, s.current.attempt);  // by row C2, since this attempt is claimed too
    const auto words = split(row.outcome(), ", ");
    // "revoke the other" checks the actions after READY; the other phrases let time pass.
    for (auto word = words.rbegin(); word != words.rend(); ++word) {
      if (*word == "revoke the other") revoke_the_other(s);
    }
    for (const std::string& word : words) {
      const auto known = kWords.find(word);
      CHECK_MESSAGE(known != kWords.end(), "row ", row.id, ": there is no check for '", word, "'");
      if (known != kWords.end() && word != "revoke the other") known->second(s);
    }
    for (const Action& action : s.after) {
      const auto* send = std::get_if<Send>(&action);
      if (send == nullptr) continue;
      CHECK_FALSE(std::holds_alternative<wire::Revoke>(send->message));
      CHECK_FALSE(std::holds_alternative<wire::EndSession>(send->message));
    }
    s.h.skip();
  }

  void run(const ReadyTable& table, const ReadyTable::Row& row) {
    for (const Combination& combination : combinations(table, row)) {
      std::string situation = row.id + ":";
      for (const std::string& value : combination) situation += " [" + value + "]";
      CAPTURE(situation);
      CHECK_MESSAGE(decided.insert(combination).second, "another row has decided this already");
      for (const Outcome ending : {Outcome::ok, Outcome::failed}) run(row, combination, ending);
    }
  }
};

std::vector<ReadyTable> tables() {
  auto found = read_ready_tables(std::filesystem::path(WEFT_SOURCE_DIR) / "common/PROTOCOL.md");
  REQUIRE(found.size() == 5);
  return found;
}

/// Table `letter`, with `count` rows.
ReadyTable table_of(char letter, std::size_t count) {
  ReadyTable table = tables()[static_cast<std::size_t>(letter - 'A')];
  REQUIRE(table.rows.size() == count);
  for (std::size_t i = 0; i < count; ++i) CHECK(table.rows[i].id == letter + std::to_string(i + 1));
  return table;
}

/// `combinations`: the number of possible ones, each of which a row must decide.
void check_table(char letter, std::size_t count, std::size_t combinations) {
  const ReadyTable table = table_of(letter, count);
  const auto& columns = ready_columns(letter);
  REQUIRE(table.header.size() == columns.size() + 1);
  Runner runner{columns, std::vector<std::set<std::string>>(columns.size())};
  for (const ReadyTable::Row& row : table.rows) runner.run(table, row);
  for (std::size_t column = 0; column < columns.size(); ++column) {
    for (const auto& [value, set_up] : columns[column].cells) {
      CHECK_MESSAGE(runner.used[column].contains(value), "no row of table ", letter, " has '", value, "'");
    }
  }
  CHECK(runner.decided.size() == combinations);
}

// ---- rows of table E ----

/// Two claims of one task, in the order of arrival.
struct Pair {
  wire::ClaimRecord first;
  wire::ClaimRecord second;
  bool same_worker = false;

  bool both(ClaimState state) const { return first.state == state && second.state == state; }
  bool one(ClaimState state) const { return (first.state == state) != (second.state == state); }
};

std::vector<Pair> all_pairs() {
  std::vector<wire::ClaimRecord> claims;
  for (const ClaimState state : {ClaimState::queued, ClaimState::running, ClaimState::done}) {
    for (const std::uint64_t epoch : {kOldEpoch, kOldEpoch + 1}) {
      for (const std::uint64_t number : {3u, 12u}) {
        for (const std::uint32_t execution : {2u, 3u})
          claims.push_back({1, {epoch, number}, state, execution});
      }
    }
  }
  std::vector<Pair> pairs;
  for (const auto& first : claims) {
    for (const auto& second : claims) {
      if (first.attempt == second.attempt) continue;
      for (const bool same_worker : {false, true}) pairs.push_back({first, second, same_worker});
    }
  }
  return pairs;
}

/// The condition that a cell of each column sets for two claims.
using Fits = bool (*)(const Pair&);
const std::vector<std::map<std::string, Fits>> kFits{
    {{"same", [](const Pair& p) { return p.first.state == p.second.state; }},
     {"one is done, one is running",
      [](const Pair& p) { return p.one(ClaimState::done) && p.one(ClaimState::running); }},
     {"any others", [](const Pair& p) { return !(p.one(ClaimState::done) && p.one(ClaimState::running)); }},
     {"one is queued, one is not", [](const Pair& p) { return p.one(ClaimState::queued); }}},
    {{"same", [](const Pair& p) { return p.first.attempt.epoch == p.second.attempt.epoch; }},
     {"different", [](const Pair& p) { return p.first.attempt.epoch != p.second.attempt.epoch; }}},
    {{"same", [](const Pair& p) { return p.first.execution == p.second.execution; }},
     {"different", [](const Pair& p) { return p.first.execution != p.second.execution; }}},
    {{"same", [](const Pair& p) { return p.same_worker; }},
     {"different", [](const Pair& p) { return !p.same_worker; }}}};

/// Whether the first claim is the later one, by the phrase of the last column.
const std::map<std::string, Fits> kFirstIsLater{
    {"the one that is not queued", [](const Pair& p) { return p.first.state != ClaimState::queued; }},
    {"the one of the higher number",
     [](const Pair& p) { return p.first.attempt.number > p.second.attempt.number; }},
    {"the one of the higher execution",
     [](const Pair& p) {
       CHECK(p.first.execution != p.second.execution);
       return p.first.execution > p.second.execution;
     }},
    {"the one that is running", [](const Pair& p) { return p.first.state == ClaimState::running; }},
    {"the one that is named last", [](const Pair&) { return false; }},
    {"the one that came first", [](const Pair&) { return true; }}};

bool fits(const ReadyTable::Row& row, const Pair& pair) {
  for (std::size_t column = 0; column < kFits.size(); ++column) {
    const std::string& cell = row.cells[column];
    if (cell == "any") continue;
    const auto found = kFits[column].find(cell);
    REQUIRE_MESSAGE(found != kFits[column].end(), "row ", row.id, ": there is no test for '", cell, "'");
    if (!found->second(pair)) return false;
  }
  return true;
}

/// The later claim becomes the current attempt: only its failure counts.
void check_later(const Pair& pair, bool first_is_later, bool announced_before) {
  Situation s;
  if (announced_before) s.announce();
  TestWorker& second_worker = pair.same_worker ? s.worker : s.other;
  s.h.hello(s.worker);
  s.h.claims(s.worker, s.client, {pair.first});
  if (!pair.same_worker) {
    s.h.ready(s.worker);
    s.h.hello(s.other);
  }
  s.h.claims(second_worker, s.client, {pair.second});
  s.h.ready(second_worker);
  if (!announced_before) s.announce();
  s.h.skip();
  const auto of_first = delivered(s.say_result(s.worker, pair.first.attempt, Outcome::failed));
  CHECK(of_first.size() == (first_is_later ? 1 : 0));
  if (first_is_later) return;
  CHECK(delivered(s.say_result(second_worker, pair.second.attempt, Outcome::failed)).size() == 1);
}

}  // namespace

TEST_SUITE("scheduler, the tables of READY") {
  TEST_CASE("table A: what the broker has with a worker that does not claim it") { check_table('A', 6, 16); }
  TEST_CASE("table B: a claim of an open task that is with no worker") { check_table('B', 12, 42); }
  TEST_CASE("table C: a claim of a task that has a current attempt") { check_table('C', 19, 56); }
  TEST_CASE("table D: a claim of a task that the broker does not have") { check_table('D', 13, 43); }

  TEST_CASE("table E: which of two claims is the later one") {
    const ReadyTable table = table_of('E', 6);
    REQUIRE(table.header.size() == kFits.size() + 1);
    std::map<std::string, std::size_t> decided;
    for (const Pair& pair : all_pairs()) {
      std::size_t rows = 0;
      for (const ReadyTable::Row& row : table.rows) {
        if (!fits(row, pair)) continue;
        CAPTURE(row.id);
        ++rows;
        ++decided[row.id];
        const auto word = kFirstIsLater.find(row.outcome());
        REQUIRE_MESSAGE(word != kFirstIsLater.end(), "there is no check for '", row.outcome(), "'");
        for (const bool announced_before : {true, false})
          check_later(pair, word->second(pair), announced_before);
      }
      CHECK(rows == 1);
    }
    CHECK(decided.size() == table.rows.size());
  }
}

}  // namespace weft::broker
