// Which transfer ends next: a binary heap whose entries can be moved, keyed by (end, key).
#pragma once

#include <cassert>
#include <cstdint>
#include <vector>

namespace railwright::emulator {

class EndQueue {
 public:
  bool empty() const { return heap_.empty(); }
  std::int64_t first_end() const { return heap_.front().end; }
  int first_key() const { return heap_.front().key; }

  // Keys are small indices; a key that is there already moves to its new end.
  void set(int key, std::int64_t end) {
    if (key >= static_cast<int>(place_.size())) place_.resize(key + 1, -1);
    if (place_[key] < 0) {
      place_[key] = static_cast<int>(heap_.size());
      heap_.push_back({end, key});
      rise(place_[key]);
      return;
    }
    heap_[place_[key]].end = end;
    sink(rise(place_[key]));
  }

  void remove(int key) {
    if (key >= static_cast<int>(place_.size()) || place_[key] < 0) return;
    const int hole = place_[key];
    place_[key] = -1;
    const Entry last = heap_.back();
    heap_.pop_back();
    if (last.key == key) return;
    put(hole, last);
    sink(rise(hole));
  }

 private:
  struct Entry {
    std::int64_t end;
    int key;
    bool operator<(const Entry& other) const {
      return end != other.end ? end < other.end : key < other.key;
    }
  };

  void put(int place, const Entry& entry) {
    heap_[place] = entry;
    place_[entry.key] = place;
  }

  int rise(int place) {
    const Entry entry = heap_[place];
    while (place > 0 && entry < heap_[(place - 1) / 2]) {
      put(place, heap_[(place - 1) / 2]);
      place = (place - 1) / 2;
    }
    put(place, entry);
    return place;
  }

  void sink(int place) {
    const Entry entry = heap_[place];
    const int size = static_cast<int>(heap_.size());
    for (int child = 2 * place + 1; child < size; child = 2 * place + 1) {
      if (child + 1 < size && heap_[child + 1] < heap_[child]) ++child;
      if (!(heap_[child] < entry)) break;
      put(place, heap_[child]);
      place = child;
    }
    put(place, entry);
  }

  std::vector<Entry> heap_;
  std::vector<int> place_;  // of each key in the heap; -1: not there
};

}  // namespace railwright::emulator
