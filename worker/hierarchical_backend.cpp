#include "worker/hierarchical_backend.hpp"

#include "worker/shm/shm_backend.hpp"

namespace railwright::worker {
namespace {

class HierarchicalBackend : public Backend {
 public:
  HierarchicalBackend(SharedNode& node, Transport& transport, EdgeLog* edges)
      : node_(node),
        across_(make_p2p_backend(transport, edges)),
        inside_(make_shm_backend(node, across_.get(), edges)) {}
  std::string name() const override { return "hierarchical"; }
  bool opaque() const override { return false; }
  Execution execute(const collectives::Schedule& schedule, const Group& group,
                    std::span<std::byte> buffer, const Reducer& reducer,
                    Transport::Deadline deadline) override {
    Backend& backend = why_shm_cannot(node_, group.ranks).empty() ? *inside_ : *across_;
    return backend.execute(schedule, group, buffer, reducer, deadline);
  }

 private:
  SharedNode& node_;
  std::unique_ptr<Backend> across_, inside_;
};

}  // namespace

std::unique_ptr<Backend> make_hierarchical_backend(SharedNode& node, Transport& transport,
                                                   EdgeLog* edges) {
  return std::make_unique<HierarchicalBackend>(node, transport, edges);
}

}  // namespace railwright::worker
