#include "coordinator/store/statement.hpp"

#include "coordinator/store/store.hpp"

namespace railwright::coordinator {

namespace {
constexpr const char* full_disk = "the disk is full";
}

bool is_full(const Errors& errors) {
  return !errors.empty() && errors.front().message == full_disk;
}

Statement::Statement(sqlite3* file, std::string_view sql) {
  code_ = sqlite3_prepare_v2(file, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::with(std::int64_t value) {
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_int64(statement_, ++bound_, value);
  return *this;
}

Statement& Statement::with(double value) {
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_double(statement_, ++bound_, value);
  return *this;
}

Statement& Statement::with(std::string_view value) {
  if (code_ == SQLITE_OK)
    code_ = sqlite3_bind_text64(statement_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT,
                                SQLITE_UTF8);
  return *this;
}

bool Statement::next() {
  if (code_ != SQLITE_OK && code_ != SQLITE_ROW) return false;
  read_ = 0;
  code_ = sqlite3_step(statement_);
  return code_ == SQLITE_ROW;
}

bool Statement::run() {
  while (next()) continue;
  return code_ == SQLITE_DONE;
}

std::int64_t Statement::number() { return sqlite3_column_int64(statement_, read_++); }
double Statement::real() { return sqlite3_column_double(statement_, read_++); }

std::string Statement::text() {
  const int column = read_++;
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
}

bool execute(sqlite3* file, const char* sql) {
  return sqlite3_exec(file, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
}

ConfigError store_error(sqlite3* file, const std::string& path) {
  const int code = sqlite3_errcode(file);
  const std::string said = sqlite3_errmsg(file);
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {{path}, "another coordinator holds these data", "stop it, or give another --data"};
    case SQLITE_FULL:
      return {{path}, full_disk, "make room, then start the coordinator again"};
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return {{path}, "cannot be written: " + said, "give a --data folder that can be written"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {{path}, "is damaged: " + said, "restore it from a copy, or give another --data"};
    default:
      return {{path}, "the store failed: " + said, "look at the disk"};
  }
}

}  // namespace railwright::coordinator
