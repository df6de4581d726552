#include "coordinator/store/store.hpp"

#include <fmt/format.h>

#include "coordinator/store/statement.hpp"

namespace railwright::coordinator {

using namespace control;

namespace {

// One entry per version; what has been released is never changed, only added to.
constexpr const char* migrations[store_version] = {
    R"(
    CREATE TABLE jobs (
      id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, owner TEXT NOT NULL,
      request TEXT NOT NULL, nodes INTEGER NOT NULL, least_nodes INTEGER NOT NULL,
      steps INTEGER NOT NULL, retries INTEGER NOT NULL, state TEXT NOT NULL,
      epoch INTEGER NOT NULL, leader TEXT NOT NULL, first_node INTEGER NOT NULL,
      node_count INTEGER NOT NULL, first_step INTEGER NOT NULL, steps_done INTEGER NOT NULL,
      losses INTEGER NOT NULL, cancelling INTEGER NOT NULL, failure TEXT NOT NULL,
      reason TEXT NOT NULL, submitted_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL,
      ended_ms INTEGER NOT NULL, lost_since_ms INTEGER NOT NULL, lost_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE nodes (node INTEGER PRIMARY KEY, down INTEGER NOT NULL, reason TEXT NOT NULL)
      STRICT;
    CREATE TABLE events (
      job TEXT NOT NULL, at_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, state TEXT NOT NULL,
      reason TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_of_jobs ON events (job);
    CREATE TABLE runs (
      job TEXT NOT NULL, epoch INTEGER NOT NULL, first_node INTEGER NOT NULL,
      node_count INTEGER NOT NULL, first_step INTEGER NOT NULL, steps_done INTEGER NOT NULL,
      PRIMARY KEY (job, epoch)
    ) STRICT;
    CREATE TABLE plans (
      job TEXT NOT NULL, epoch INTEGER NOT NULL, plan TEXT NOT NULL, PRIMARY KEY (job, epoch)
    ) STRICT;
    CREATE TABLE steps (
      job TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL,
      step_time_s REAL NOT NULL, PRIMARY KEY (job, epoch, step)
    ) STRICT;
    CREATE TABLE link_statistics (
      job TEXT NOT NULL, epoch INTEGER NOT NULL, link TEXT NOT NULL, utilization REAL NOT NULL,
      busy_s REAL NOT NULL, PRIMARY KEY (link, job, epoch)
    ) STRICT;
    )",
    R"(
    ALTER TABLE jobs ADD COLUMN needs_nodes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN started_ms INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN degrees TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN predicted_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN measured_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
    ALTER TABLE link_statistics ADD COLUMN measured_s REAL NOT NULL DEFAULT 0;
    ALTER TABLE link_statistics ADD COLUMN expected_s REAL NOT NULL DEFAULT 0;
    CREATE TABLE slow_links (
      link TEXT PRIMARY KEY, job TEXT NOT NULL, epoch INTEGER NOT NULL, factor REAL NOT NULL
    ) STRICT;
    )",
    R"(
    ALTER TABLE jobs ADD COLUMN accused_node INTEGER NOT NULL DEFAULT -1;
    ALTER TABLE jobs ADD COLUMN may_accuse INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE nodes ADD COLUMN lost_worker_ms INTEGER NOT NULL DEFAULT 0;
    )"};

// While it lives, what is written is one whole; undone unless committed.
class Transaction {
 public:
  explicit Transaction(sqlite3* file) : file_(file), open_(execute(file, "BEGIN IMMEDIATE")) {}
  ~Transaction() {
    if (open_) execute(file_, "ROLLBACK");
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  bool is_open() const { return open_; }
  bool commit() {
    const bool committed = execute(file_, "COMMIT");
    open_ = !committed;
    return committed;
  }

 private:
  sqlite3* file_;
  bool open_;
};

bool write_job(sqlite3* file, const Job& job) {
  const JobSpec& spec = job.spec;
  return Statement(file,
                   "INSERT OR REPLACE INTO jobs VALUES "
                   "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
      .with(spec.id)
      .with(job.number)
      .with(spec.owner)
      .with(spec.request)
      .with(std::int64_t{spec.nodes})
      .with(std::int64_t{spec.least_nodes})
      .with(spec.steps)
      .with(std::int64_t{spec.retries})
      .with(to_string(job.state))
      .with(std::int64_t{job.epoch})
      .with(job.leader)
      .with(std::int64_t{job.nodes.first})
      .with(std::int64_t{job.nodes.count})
      .with(job.first_step)
      .with(job.steps_done)
      .with(std::int64_t{job.losses})
      .with(std::int64_t{job.cancelling})
      .with(to_string(job.failure))
      .with(job.reason)
      .with(job.submitted.milliseconds)
      .with(job.changed.milliseconds)
      .with(job.ended.milliseconds)
      .with(job.lost_since.milliseconds)
      .with(job.lost_milliseconds)
      .with(std::int64_t{job.needs_nodes})
      .with(std::int64_t{job.accused_node})
      .with(std::int64_t{job.may_accuse})
      .run();
}

Job read_job(Statement& row) {
  Job job;
  JobSpec& spec = job.spec;
  spec.id = row.text();
  job.number = row.number();
  spec.owner = row.text();
  spec.request = row.text();
  spec.nodes = static_cast<int>(row.number());
  spec.least_nodes = static_cast<int>(row.number());
  spec.steps = row.number();
  spec.retries = static_cast<int>(row.number());
  job.state = state_of(row.text());
  job.epoch = static_cast<int>(row.number());
  job.leader = row.text();
  job.nodes.first = static_cast<int>(row.number());
  job.nodes.count = static_cast<int>(row.number());
  job.first_step = row.number();
  job.steps_done = row.number();
  job.losses = static_cast<int>(row.number());
  job.cancelling = row.number() != 0;
  job.failure = failure_of(row.text());
  job.reason = row.text();
  job.submitted = {row.number()};
  job.changed = {row.number()};
  job.ended = {row.number()};
  job.lost_since = {row.number()};
  job.lost_milliseconds = row.number();
  job.needs_nodes = static_cast<int>(row.number());
  job.accused_node = static_cast<int>(row.number());
  job.may_accuse = row.number() != 0;
  return job;
}

bool is_news(sqlite3* file, const Job& job) {
  Statement row(file, "SELECT 1 FROM jobs WHERE id = ? AND state = ? AND reason = ?");
  return !row.with(job.spec.id).with(to_string(job.state)).with(job.reason).next();
}

bool write_event(sqlite3* file, const Job& job) {
  if (!is_news(file, job)) return true;
  return Statement(file, "INSERT INTO events VALUES (?,?,?,?,?)")
      .with(job.spec.id)
      .with(job.changed.milliseconds)
      .with(std::int64_t{job.epoch})
      .with(to_string(job.state))
      .with(job.reason)
      .run();
}

// The nodes of a run are those that it was given: later records may have given them back.
bool write_run(sqlite3* file, const Job& job) {
  if (job.epoch == 0) return true;
  return Statement(file,
                   "INSERT INTO runs (job, epoch, first_node, node_count, first_step, steps_done, "
                   "started_ms) VALUES (?,?,?,?,?,?,?) ON CONFLICT (job, epoch) DO "
                   "UPDATE SET steps_done = excluded.steps_done, "
                   "first_node = CASE WHEN excluded.node_count > 0 THEN excluded.first_node "
                   "ELSE first_node END, node_count = CASE WHEN excluded.node_count > 0 "
                   "THEN excluded.node_count ELSE node_count END")
      .with(job.spec.id)
      .with(std::int64_t{job.epoch})
      .with(std::int64_t{job.nodes.first})
      .with(std::int64_t{job.nodes.count})
      .with(job.first_step)
      .with(job.steps_done)
      .with(job.changed.milliseconds)
      .run();
}

bool write(sqlite3* file, const Job& job) {
  return write_event(file, job) && write_job(file, job) && write_run(file, job);
}

bool write(sqlite3* file, const NodeState& node) {
  return Statement(file, "INSERT OR REPLACE INTO nodes VALUES (?,?,?,?)")
      .with(std::int64_t{node.node})
      .with(std::int64_t{node.down})
      .with(node.reason)
      .with(node.lost_worker.milliseconds)
      .run();
}

}  // namespace

void Store::Closer::operator()(sqlite3* file) const { sqlite3_close_v2(file); }

Store::Store(std::string path, File file) : path_(std::move(path)), file_(std::move(file)) {}

Result<Store> Store::open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  const int opened = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Store store(path, File(raw));
  if (opened != SQLITE_OK) return tl::unexpected(Errors{store_error(raw, path)});
  if (auto ready = store.prepare(); !ready) return tl::unexpected(ready.error());
  return store;
}

// The lock is taken by the first write and kept until the file is closed, also by `kill -9`.
Result<void> Store::prepare() {
  sqlite3* file = file_.get();
  sqlite3_extended_result_codes(file, 1);
  const bool ready = execute(file, "PRAGMA locking_mode = EXCLUSIVE") &&
                     execute(file, "PRAGMA journal_mode = WAL") &&
                     execute(file, "PRAGMA synchronous = FULL") &&
                     execute(file, "BEGIN EXCLUSIVE") && execute(file, "COMMIT");
  if (!ready) return tl::unexpected(Errors{store_error(file, path_)});
  if (auto checked = check(); !checked) return checked;
  return bring_up_to_date();
}

Result<void> Store::check() {
  Statement row(file_.get(), "PRAGMA integrity_check(1)");
  const std::string said = row.next() ? row.text() : sqlite3_errmsg(file_.get());
  if (said == "ok") return {};
  return failure({path_}, "is damaged: " + said, "restore it from a copy, or give another --data");
}

Result<void> Store::bring_up_to_date() {
  sqlite3* file = file_.get();
  Statement row(file, "PRAGMA user_version");
  const std::int64_t version = row.next() ? row.number() : 0;
  row.run();
  if (version < 0 || version > store_version)
    return failure(
        {path_},
        fmt::format("is of version {}, this coordinator knows up to {}", version, store_version),
        "start the newer coordinator, or give another --data");
  for (std::int64_t next = version; next < store_version; ++next) {
    Transaction transaction(file);
    const bool done = transaction.is_open() && execute(file, migrations[next]) &&
                      execute(file, fmt::format("PRAGMA user_version = {}", next + 1).c_str()) &&
                      transaction.commit();
    if (!done) return tl::unexpected(Errors{store_error(file, path_)});
  }
  return {};
}

Result<void> Store::save(const Persist& record) {
  sqlite3* file = file_.get();
  Transaction transaction(file);
  const bool written =
      transaction.is_open() &&
      std::visit([&](const auto& value) { return write(file, value); }, record.record) &&
      transaction.commit();
  if (!written) return tl::unexpected(Errors{store_error(file, path_)});
  return {};
}

std::vector<Job> Store::jobs() const {
  std::vector<Job> jobs;
  Statement row(file_.get(), "SELECT * FROM jobs ORDER BY number");
  while (row.next()) jobs.push_back(read_job(row));
  return jobs;
}

std::vector<NodeState> Store::nodes() const {
  std::vector<NodeState> nodes;
  Statement row(file_.get(), "SELECT node, down, reason, lost_worker_ms FROM nodes ORDER BY node");
  while (row.next()) {
    const int node = static_cast<int>(row.number());
    const bool down = row.number() != 0;
    std::string reason = row.text();
    nodes.push_back({node, down, std::move(reason), {row.number()}});
  }
  return nodes;
}

}  // namespace railwright::coordinator
