// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/indirect.hpp"
#include "common/base/intrusive_list.hpp"
#include "common/base/lazy_container.hpp"
#include "common/base/local_shared_ptr.hpp"
#include "common/base/vector_queue.hpp"
#include "weft/detail/intrusive_ptr.hpp"
#include "worker/core/task_table.hpp"

namespace weft {

namespace {

struct Linked {
  int value = 0;
  ListLinks<Linked> links;
};
using LinkedList = IntrusiveList<Linked, &Linked::links>;

std::vector<int> values_of(const LinkedList& list) {
  std::vector<int> forwards;
  for (const Linked* at = list.front(); at != nullptr; at = LinkedList::after(*at))
    forwards.push_back(at->value);
  std::vector<int> backwards;
  for (const Linked* at = list.back(); at != nullptr; at = LinkedList::before(*at))
    backwards.push_back(at->value);
  std::reverse(backwards.begin(), backwards.end());
  CHECK(forwards == backwards);
  return forwards;
}

}  // namespace

TEST_SUITE("containers") {
  TEST_CASE("elements of an IntrusiveList enter and leave anywhere") {
    Linked one{1}, two{2}, three{3};
    LinkedList list;
    CHECK(list.empty());
    list.push_back(two);
    list.push_front(one);
    list.push_back(three);
    CHECK(values_of(list) == std::vector<int>{1, 2, 3});
    list.remove(two);
    CHECK(values_of(list) == std::vector<int>{1, 3});
    list.insert(&one, two);
    CHECK(values_of(list) == std::vector<int>{2, 1, 3});
    list.remove(two);
    list.remove(three);
    CHECK(values_of(list) == std::vector<int>{1});
    list.remove(one);
    CHECK(list.empty());
    CHECK(values_of(list).empty());
  }

  TEST_CASE("a VectorQueue gives what it was given, in order, whatever its memory does meanwhile") {
    VectorQueue<std::string> fifo;
    std::deque<std::string> reference;
    std::uint32_t state = 1;
    for (int i = 0; i < 100'000; ++i) {
      state = state * 1'664'525 + 1'013'904'223;
      const bool fills = (i / 5000) % 2 == 0;  // fills up and runs empty, in turn
      if (state % 8 < (fills ? 6 : 2)) {
        fifo.push_back(std::to_string(i));
        reference.push_back(std::to_string(i));
      } else if (!reference.empty()) {
        if (state % 3 == 0) {
          fifo.pop_back();
          reference.pop_back();
        } else {
          fifo.pop_front();
          reference.pop_front();
        }
      }
      REQUIRE(fifo.size() == reference.size());
      REQUIRE(fifo.empty() == reference.empty());
      if (reference.empty()) continue;
      REQUIRE(fifo.front() == reference.front());
      REQUIRE(fifo.back() == reference.back());
      REQUIRE(fifo[reference.size() / 2] == reference[reference.size() / 2]);
    }
    CHECK(std::equal(fifo.begin(), fifo.end(), reference.begin(), reference.end()));
    fifo.clear();
    CHECK(fifo.empty());
  }

  TEST_CASE("what leaves a VectorQueue gives back what it owns at once") {
    const auto owned = std::make_shared<int>(1);
    VectorQueue<std::shared_ptr<int>> fifo;
    for (int i = 0; i < 3; ++i) fifo.push_back(std::shared_ptr<int>(owned));
    fifo.pop_front();
    CHECK(owned.use_count() == 3);
    fifo.pop_back();
    CHECK(owned.use_count() == 2);
    fifo.clear();
    CHECK(owned.use_count() == 1);
  }

  TEST_CASE("a Indirect is copied and compared by what is in it") {
    Indirect<std::string> one("text");
    Indirect<std::string> other = one;
    CHECK(one == other);
    *other += "s";
    CHECK(*one == "text");
    CHECK(other->size() == 5);
    one = other;
    CHECK(one == other);
    const Indirect<std::string> moved = std::move(other);
    CHECK(*moved == "texts");
  }

  TEST_CASE("Bytes of every size are what they were made of, wherever they are copied") {
    for (std::size_t size = 0; size < 3 * Bytes::kInPlaceMax; ++size) {
      std::string text;
      for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i % 26);
      const Bytes bytes(text);
      REQUIRE(bytes.view() == text);
      REQUIRE(bytes.size() == size);
      std::string copy(size + Bytes::kSpare, '-');
      REQUIRE(bytes.copy_to(copy.data()) == copy.data() + size);
      REQUIRE(copy.substr(0, size) == text);
      Bytes other("something else that is longer than what fits");
      other = bytes;
      REQUIRE(other == bytes);
      Bytes moved;
      moved = std::move(other);
      REQUIRE(moved == bytes);
      Bytes& self = moved;
      moved = self;
      REQUIRE(moved.view() == text);
      moved.set_marks(3);
      const Bytes marked = moved;
      moved.set_marks(2);
      REQUIRE((marked.marks() == 3 && moved.marks() == 2 && bytes.marks() == 0));
      REQUIRE((marked.view() == text && moved.view() == text));
    }
  }

  TEST_CASE("a LocalSharedPtr keeps what it refers to until the last one is gone") {
    const auto owned = std::make_shared<int>(1);
    using IntrusivePtr = LocalSharedPtr<std::shared_ptr<int>>;
    IntrusivePtr empty;
    CHECK(!empty);
    IntrusivePtr one = IntrusivePtr::make(owned);
    CHECK(owned.use_count() == 2);
    IntrusivePtr other = one;
    CHECK(one == other);
    CHECK(one != IntrusivePtr::make(owned));
    one = std::move(other);
    CHECK(*one == owned);
    CHECK(owned.use_count() == 2);
    other = one;
    one = {};
    CHECK(owned.use_count() == 2);
    other = empty;
    CHECK(owned.use_count() == 1);
  }

  TEST_CASE("objects of RefBlocks live as long as they are referred to, and no longer") {
    class Object : public detail::RefCounted {
     public:
      Object() noexcept { ++living(); }
      ~Object() override { --living(); }
      static int& living() {
        static int count = 0;
        return count;
      }
      char bytes[300] = {};
    };
    for (const std::size_t expected : {0U, 1U, 5U, 30U}) {
      for (const int made : {0, 1, 4, 5, 6, 13, 100}) {
        CAPTURE(expected);
        CAPTURE(made);
        std::vector<detail::IntrusivePtr<Object>> objects;
        {
          detail::RefBlocks<Object> blocks(expected);
          for (int i = 0; i < made; ++i) {
            objects.push_back(blocks.make());
            objects.back()->bytes[299] = static_cast<char>(i);
            if (i % 3 == 2) objects[objects.size() - 2] = {};  // while its block is being filled
          }
        }
        int left = 0;
        for (int i = 0; i < made; ++i) {
          if (!objects[static_cast<std::size_t>(i)]) continue;
          REQUIRE(objects[static_cast<std::size_t>(i)]->bytes[299] == static_cast<char>(i));
          ++left;
        }
        REQUIRE(Object::living() == left);
        if (left > 1) {  // a live object must not keep the others alive
          const detail::IntrusivePtr<Object> kept = objects.back();
          objects.clear();
          REQUIRE(Object::living() == 1);
        }
        objects.clear();
        REQUIRE(Object::living() == 0);
      }
    }
  }

  TEST_CASE("a LazyContainer is read as what it would be, and takes memory when it is edited") {
    LazyContainer<std::map<int, int>> rare;
    CHECK(rare.empty());
    CHECK(rare.size() == 0);
    CHECK(!rare->contains(1));
    rare.erase(1);
    rare.edit()[1] = 2;
    rare.edit()[3] = 4;
    CHECK(rare.size() == 2);
    CHECK(rare->at(1) == 2);
    rare.erase_if([](const auto& entry) { return entry.first == 1; });
    CHECK((*rare == std::map<int, int>{{3, 4}}));
    rare.erase(3);
    CHECK(rare.empty());
    rare.edit()[5] = 6;
    rare.clear();
    CHECK(rare.empty());
  }

  TEST_CASE("a ByteBuffer has what was written, what was truncated is gone, and it is empty once taken") {
    detail::ByteBuffer bytes("begin");
    std::string expected = "begin";
    for (int i = 0; i < 1000; ++i) {
      const std::string piece = std::to_string(i);
      char* const room = bytes.room(64);
      std::copy(piece.begin(), piece.end(), room);
      bytes.end_at(room + piece.size());
      bytes.append("/", 1);
      expected += piece + "/";
    }
    CHECK(bytes.view() == expected);
    bytes.truncate(expected.size() - 2);
    expected.resize(expected.size() - 2);
    CHECK(bytes.size() == expected.size());
    detail::ByteBuffer moved = std::move(bytes);
    CHECK(moved.take() == expected);
    CHECK(moved.empty());
    moved.append("again", 5);
    detail::ByteBuffer small = std::move(moved);
    CHECK(moved.empty());  // the moved-from buffer is usable
    CHECK(small.take() == "again");
  }

  TEST_CASE("a TaskTable finds every task that is in it and no other, whatever their numbers") {
    using worker::AttemptKey;
    worker::TaskTable table;
    std::deque<AttemptKey> keys;
    std::uint64_t number = 0;
    std::uint32_t state = 1;
    const auto random = [&state] { return state = state * 1'664'525 + 1'013'904'223; };
    for (int i = 0; i < 50'000; ++i) {
      if (keys.size() < 300 || random() % 2 == 0) {
        // In runs, with gaps, by two brokers that both began at 1.
        number += random() % 64 == 0 ? 1 + random() % 5000 : 1;
        const AttemptKey key{{Uuid{}, number}, {i < 25'000 ? 1U : 2U, number % 25'000}};
        if (table.find(key) != nullptr) continue;
        worker::Task& task = table.insert(key);
        REQUIRE(table.find(key) == &task);
        keys.push_back(key);
      } else {
        const std::size_t at = random() % 4 == 0 ? random() % keys.size() : 0;
        worker::Task* const task = table.find(keys[at]);
        REQUIRE(task != nullptr);
        REQUIRE(task->key == keys[at]);
        table.erase(*task);
        REQUIRE(table.find(keys[at]) == nullptr);
        keys.erase(keys.begin() + static_cast<std::ptrdiff_t>(at));
      }
      REQUIRE(table.size() == keys.size());
    }
    for (const AttemptKey& key : keys) CHECK(table.find(key) != nullptr);
    std::size_t count = 0;
    table.for_each([&](const worker::Task&) { ++count; });
    CHECK(count == keys.size());
  }
}

}  // namespace weft
