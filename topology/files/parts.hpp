// The named things of a cluster file: link classes and accelerators. They are defined once, or
// taken from the catalogue by being named, and referred to from then on.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "topology/document.hpp"
#include "topology/spec.hpp"

namespace railwright::topology {

class Parts {
 public:
  void read_link_classes(const Cursor& map);
  void read_accelerators(const Cursor& map);

  // The entry of that name, else the catalogue's, which thereby becomes an entry. Unknown names are
  // an error with the closest known ones; the result is then the first entry.
  ClassId link_class(const Cursor& reference);
  int accelerator(const Cursor& reference);

  // Gives the spec both lists, ascending by name so that equal clusters are equal values, and
  // renumbers what refers to them. Entries that nothing refers to get a warning.
  void finish(ClusterSpec& spec) const;

 private:
  template <class T>
  struct Table {
    std::vector<T> entries;
    std::map<std::string, int, std::less<>> index;
    std::vector<bool> used;
    std::vector<Cursor> written;  // where; of declared entries, which come first
    int add(T entry);
    int refer(const Cursor& reference, const std::vector<T>& catalogue, std::string_view what);
  };
  template <class T>
  static std::vector<int> sorted_places(const Table<T>& table);

  Table<LinkClass> classes_;
  Table<AcceleratorKind> kinds_;
};

// Words that may become part of a vertex name: letters, digits, '_', '-', '.'; reported if not.
bool is_name(std::string_view word);
void check_name(const Cursor& cursor, std::string_view word);

// "gpu[001-004,7],login" -> gpu001 ... gpu004, gpu7, login, as Slurm writes host lists.
Parsed<std::vector<std::string>> expand_hosts(std::string_view text);

}  // namespace railwright::topology
