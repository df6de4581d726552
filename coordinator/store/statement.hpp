// One SQL statement: values in, rows out. Errors are kept until they are asked for.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "topology/result.hpp"

namespace railwright::coordinator {

class Statement {
 public:
  Statement(sqlite3* file, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // In the order of the question marks.
  Statement& with(std::int64_t value);
  Statement& with(double value);
  Statement& with(std::string_view value);

  bool next();  // true: there is a row
  bool run();   // to the end; false when it failed
  int code() const { return code_; }

  // Of the row, in the order of the columns.
  std::int64_t number();
  double real();
  std::string text();

 private:
  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
  int bound_ = 0, read_ = 0;
};

bool execute(sqlite3* file, const char* sql);
// What went wrong last, with what to do about it.
ConfigError store_error(sqlite3* file, const std::string& path);

}  // namespace railwright::coordinator
