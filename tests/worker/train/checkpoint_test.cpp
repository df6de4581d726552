#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/worker/train/lab.hpp"
#include "worker/train/manifest.hpp"

namespace railwright::worker::train {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("railwright_train_" + std::to_string(getpid()));
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
  std::string name() const { return path; }
  // The only file whose name has these ends.
  fs::path file(const std::string& begin, const std::string& end) const {
    fs::path found;
    for (const auto& entry : fs::directory_iterator(path)) {
      const std::string file = entry.path().filename();
      if (file.starts_with(begin) && file.ends_with(end)) found = entry.path();
    }
    return found;
  }
};

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

Trained save_after(const emulator::Plan& plan, const Folder& folder, int steps,
                   const Settings& settings = {}) {
  return train_with(plan, settings, [&](Trainer& trainer, std::vector<double>& losses) {
    for (int i = 0; i < steps; ++i) losses.push_back(trainer.step());
    Errors errors;
    if (!trainer.save(folder.name(), errors)) losses.push_back(-1);
  });
}

Trained resume(const emulator::Plan& plan, const Folder& folder, int steps) {
  Settings other;  // all of it is replaced by the checkpoint's
  other.seed = 99;
  other.adam.learning_rate = 1;
  return train_with(plan, other, [&](Trainer& trainer, std::vector<double>& losses) {
    const Errors errors = trainer.load(folder.name());
    if (!errors.empty()) throw std::runtime_error(to_string(errors));
    for (int i = 0; i < steps; ++i) losses.push_back(trainer.step());
  });
}

Errors refusal(const emulator::Plan& plan, const Folder& folder) {
  ThreadWorld world(1);
  const auto transport = world.transport(0);
  const auto backend = make_p2p_backend(*transport);
  Exchange exchange(plan, *transport, *backend, seconds(1));
  Trainer trainer(plan, {}, lab_text(), exchange, cpu_products<float>());
  return trainer.load(folder.name());
}

TEST_CASE("a training that was cut and resumed has the bits of one that was not") {
  for (const char* degrees : {"tp=1,micro_batch=2", "dp=2,micro_batch=2,zero_stage=1",
                              "tp=2,pp=2,micro_batch=2,sequence_parallel=true"}) {
    const Folder folder;
    const auto plan = train_plan(gpt_json, degrees);
    const Trained whole = train_for(plan, {}, 6);
    save_after(plan, folder, 3);
    const Trained rest = resume(plan, folder, 3);
    INFO(degrees);
    CHECK(rest.losses == std::vector<double>(whole.losses.begin() + 3, whole.losses.end()));
    CHECK(difference(rest.weights, whole.weights) == 0);
  }
}

TEST_CASE("a checkpoint goes on under other degrees with the same curve and batch") {
  struct Change {
    const char* from;
    const char* to;
    std::int64_t batch_of_plan;
  };
  for (const char* json : {gpt_json, llama_json}) {
    const Trained whole = train_for(train_plan(json, "tp=1,micro_batch=1"), {}, 6);
    for (const Change& change :
         {Change{"dp=4,micro_batch=1,zero_stage=1", "dp=3,micro_batch=1,zero_stage=1", 9},
          Change{"dp=4,micro_batch=1", "dp=3,micro_batch=1,zero_stage=1", 9},
          Change{"tp=2,micro_batch=1", "tp=1,micro_batch=1", 8},
          Change{"tp=1,micro_batch=1", "tp=2,micro_batch=1,sequence_parallel=true", 8},
          Change{"pp=2,micro_batch=1", "pp=1,micro_batch=1", 8},
          Change{"tp=2,pp=2,dp=2,micro_batch=1,zero_stage=1", "pp=4,micro_batch=1", 8}}) {
      const Folder folder;
      save_after(train_plan(json, change.from), folder, 3);
      const Trained rest = resume(train_plan(json, change.to, change.batch_of_plan), folder, 3);
      INFO(json << " " << change.from << " -> " << change.to);
      REQUIRE(rest.losses.size() == 3);
      for (std::size_t i = 0; i < 3; ++i)
        CHECK(rest.losses[i] == Approx(whole.losses[i + 3]).epsilon(1e-5));
      CHECK(rest.largest_copy_difference == 0);
    }
  }
}

TEST_CASE("a checkpoint has every element of every tensor once, whatever the degrees") {
  for (const char* degrees :
       {"tp=1,micro_batch=2", "tp=2,pp=2,dp=2,micro_batch=1,sequence_parallel=true,zero_stage=1",
        "dp=4,micro_batch=1,zero_stage=1"}) {
    const Folder folder;
    save_after(train_plan(gpt_json, degrees), folder, 1);
    const fs::path path = folder.file("step-", ".json");
    const auto manifest = parse_manifest(text_of(path), path);
    REQUIRE(manifest);
    CHECK(manifest->step == 1);
    CHECK(manifest->global_batch == 8);
    INFO(degrees);
    // 4 layers of 16 tensors, the tables, the last norm; each with three states.
    CHECK(manifest->tensors.size() == 3 * (4 * 16 + 2 + 2));
    for (const auto& [key, tensor] : manifest->tensors) {
      std::vector<int> times(static_cast<std::size_t>(tensor.rows * tensor.columns));
      for (const Slice& slice : tensor.slices)
        for (std::int64_t i = slice.first; i < slice.first + slice.count; ++i)
          ++times[static_cast<std::size_t>((slice.part.row + i / slice.part.columns) *
                                               tensor.columns +
                                           slice.part.column + i % slice.part.columns)];
      INFO(key.first << " " << key.second);
      CHECK(std::ranges::count(times, 1) == static_cast<std::ptrdiff_t>(times.size()));
    }
  }
}

TEST_CASE("all but the newest checkpoints are taken away, with what is left of older ones") {
  const Folder folder;
  fs::create_directories(folder.path);
  const auto names = [&] {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder.path))
      all.push_back(entry.path().filename());
    std::ranges::sort(all);
    return all;
  };
  for (const char* name :
       {"step-00000010.json", "step-00000010.rank-00000.ab.bin", "step-00000015.rank-00000.cd.bin",
        "step-00000020.json", "step-00000020.rank-00000.ef.bin", "step-00000030.json",
        "step-00000030.rank-00000.01.bin.77.part", "step-100000000.json", "notes.txt",
        "step-x.bin"})
    write_text(folder.path / name, "x");
  keep_newest(folder.name(), 4);
  CHECK(names().size() == 10);
  keep_newest(folder.name(), 5);
  CHECK(names().size() == 10);
  keep_newest(folder.name(), 3);
  CHECK(names() == std::vector<std::string>{"notes.txt", "step-00000020.json",
                                            "step-00000020.rank-00000.ef.bin", "step-00000030.json",
                                            "step-00000030.rank-00000.01.bin.77.part",
                                            "step-100000000.json", "step-x.bin"});
  CHECK(latest_manifest(folder.name()) == "step-100000000.json");
  keep_newest(folder.name(), 1);
  CHECK(names() == std::vector<std::string>{"notes.txt", "step-100000000.json", "step-x.bin"});
  keep_newest(folder.name() + "/nowhere", 1);
}

TEST_CASE("a corrupt file, a cut one and a missing one are refused by their names") {
  const auto plan = train_plan(gpt_json, "tp=1,micro_batch=2");
  const Folder folder;
  save_after(plan, folder, 1);
  CHECK(refusal(plan, folder).empty());
  const fs::path data = folder.file("step-", ".bin");
  const std::string name = data.filename();
  const std::string bytes = text_of(data);
  const auto says = [&](const std::string& words) {
    const std::string text = to_string(refusal(plan, folder));
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
    CHECK(text.find("tensor '") != std::string::npos);
    CHECK(text.find(name) != std::string::npos);
  };
  for (const std::size_t at : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    write_text(data, changed);
    says("is corrupt in '" + name + "'");
  }
  write_text(data, bytes.substr(0, bytes.size() - 1));
  says("has " + std::to_string(bytes.size() - 1) + " bytes instead of " +
       std::to_string(bytes.size()));
  fs::remove(data);
  says("cannot be read");
}

TEST_CASE(
    "a manifest that was changed or cut is refused, an older checkpoint is not taken instead") {
  const auto plan = train_plan(gpt_json, "tp=1,micro_batch=2");
  const Folder folder;
  train_with(plan, {}, [&](Trainer& trainer, std::vector<double>&) {
    Errors errors;
    for (int i = 0; i < 2; ++i) {
      trainer.step();
      trainer.save(folder.name(), errors);
    }
  });
  const fs::path path = folder.path / manifest_name(2);
  const std::string text = text_of(path);
  std::string changed = text;
  changed.replace(changed.find("\"step\": 2"), 9, "\"step\": 3");
  write_text(path, changed);
  CHECK(to_string(refusal(plan, folder)).find("step-00000002.json: error: was changed") !=
        std::string::npos);
  write_text(path, text.substr(0, text.size() / 2));
  CHECK(to_string(refusal(plan, folder)).find("was cut off") != std::string::npos);
  // What a crash before the rename leaves behind is no checkpoint.
  fs::rename(path, path.string() + ".123.part");
  CHECK(refusal(plan, folder).empty());
}

TEST_CASE("slices beyond their tensor or file are refused, also with a right digest") {
  const auto refused = [](auto change) {
    Manifest manifest;
    manifest.files["a.bin"] = 64;
    manifest.tensors[{"w", "weight"}] = {4, 4, {{{0, 4, 0, 4}, 0, 16, "a.bin", 0, "x"}}};
    change(manifest, manifest.tensors[{"w", "weight"}].slices[0]);
    return !parse_manifest(to_json(manifest), "m.json").has_value();
  };
  CHECK_FALSE(refused([](Manifest&, Slice&) {}));
  CHECK(refused([](Manifest&, Slice& slice) { slice.count = 17; }));
  CHECK(refused([](Manifest&, Slice& slice) { slice.count = -1; }));
  CHECK(refused([](Manifest&, Slice& slice) { slice.first = INT64_MAX; }));
  CHECK(refused([](Manifest&, Slice& slice) { slice.part.row = 1; }));
  CHECK(refused([](Manifest&, Slice& slice) { slice.part.columns = INT64_MAX; }));
  CHECK(refused([](Manifest&, Slice& slice) { slice.offset = UINT64_MAX - 3; }));
  CHECK(refused([](Manifest&, Slice& slice) { slice.offset = 4; }));
  CHECK(refused([](Manifest&, Slice& slice) { slice.file = "b.bin"; }));
  CHECK(refused([](Manifest& manifest, Slice& slice) {
    manifest.files["../a.bin"] = 64;
    slice.file = "../a.bin";
  }));
}

TEST_CASE("checkpoints of another model, text or sequence, and empty folders are refused") {
  const Folder folder;
  save_after(train_plan(gpt_json, "tp=1,micro_batch=2"), folder, 1);
  CHECK(to_string(refusal(train_plan(llama_json, "tp=1"), folder)).find("of another model") !=
        std::string::npos);
  const Folder empty{};
  fs::remove_all(empty.path);
  CHECK(to_string(refusal(train_plan(gpt_json, "tp=1"), empty)).find("holds no checkpoint") !=
        std::string::npos);
}

TEST_CASE("a folder that cannot be written is an error on the ranks that failed, known to all") {
  const auto plan = train_plan(gpt_json, "dp=2,micro_batch=1");
  std::atomic<int> failed = 0, said = 0;
  train_with(plan, {}, [&](Trainer& trainer, std::vector<double>&) {
    Errors errors;
    failed += !trainer.save("/proc/no/such/folder", errors);
    said += !errors.empty();
  });
  CHECK(failed == 2);
  CHECK(said >= 1);
}

}  // namespace
}  // namespace railwright::worker::train
