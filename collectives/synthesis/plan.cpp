#include "collectives/synthesis/plan.hpp"

#include <algorithm>
#include <map>

#include "collectives/turns.hpp"

namespace railwright::collectives {

namespace {

// The channels of one rank.
class Channels {
 public:
  struct Channel {
    int number = 0, link = 0;
    std::int64_t free_from = 0, step = -1;  // of the last edge
  };

  Channel& take(const TimedEdge& edge) {
    for (Channel& channel : channels_)
      if (channel.link == edge.way.front() && channel.free_from <= edge.start)
        return used(channel, edge);
    channels_.push_back({static_cast<int>(channels_.size()), edge.way.front(), 0, -1});
    return used(channels_.back(), edge);
  }

 private:
  static Channel& used(Channel& channel, const TimedEdge& edge) {
    channel.free_from = edge.left;
    return channel;
  }
  std::vector<Channel> channels_;
};

class Builder {
 public:
  Builder(std::vector<int> root, const topology::Graph& graph) : graph_(graph) {
    forest_.root = std::move(root);
  }

  void add(const TimedEdge& edge) {
    Channels::Channel& channel = channels_[edge.source].take(edge);
    const auto arrived = arrived_.find({edge.tree, edge.source});
    std::int64_t step = channel.step + 1;
    if (arrived != arrived_.end()) step = std::max(step, arrived->second + 1);
    const int route = route_of(edge.way);
    for (const topology::LinkId link : filled_links(forest_.routes[route], graph_))
      if (const auto last = last_step_.find(link.index); last != last_step_.end())
        step = std::max(step, last->second + 1);
    for (const topology::LinkId link : filled_links(forest_.routes[route], graph_))
      last_step_[link.index] = step;
    channel.step = step;
    std::int64_t& latest = arrived_.try_emplace({edge.tree, edge.target}, step).first->second;
    latest = std::max(latest, step);
    (edge.up ? forest_.up : forest_.down)
        .push_back({edge.tree, edge.source, edge.target, step, channel.number, route});
  }

  Forest take() && {
    const auto key = [](const Forest::Edge& edge) { return std::pair(edge.step, edge.source); };
    std::ranges::stable_sort(forest_.up, {}, key);
    std::ranges::stable_sort(forest_.down, {}, key);
    return std::move(forest_);
  }

 private:
  int route_of(const std::vector<int>& way) {
    const auto [place, first] = routes_.try_emplace(way, static_cast<int>(forest_.routes.size()));
    if (first) {
      forest_.routes.emplace_back();
      for (const int link : way) forest_.routes.back().push_back({link});
    }
    return place->second;
  }

  const topology::Graph& graph_;
  Forest forest_;
  std::map<int, std::int64_t> last_step_;  // of a send that fills the link
  std::map<int, Channels> channels_;
  std::map<std::pair<int, int>, std::int64_t> arrived_;  // latest step, by tree and rank
  std::map<std::vector<int>, int> routes_;
};

}  // namespace

Plan spreading(const Matching& matching) {
  Plan plan{{}, matching.time};
  for (const MatchedSend& send : matching.sends)
    plan.edges.push_back(
        {send.chunk, send.source, send.target, false, send.start, send.left, send.way});
  return plan;
}

Plan collecting(const Matching& matching) {
  Plan plan{{}, matching.time};
  for (const MatchedSend& send : matching.sends) {
    const std::int64_t start = matching.time - send.arrival;
    std::vector<int> way(send.way.rbegin(), send.way.rend());
    plan.edges.push_back({send.chunk, send.target, send.source, true, start,
                          start + send.left - send.start, std::move(way)});
  }
  return plan;
}

Plan followed_by(Plan first, const Plan& second) {
  for (TimedEdge edge : second.edges) {
    edge.start += first.time;
    edge.left += first.time;
    first.edges.push_back(std::move(edge));
  }
  first.time += second.time;
  return first;
}

Forest forest_of(Plan plan, std::vector<int> root, const topology::Graph& graph) {
  std::ranges::stable_sort(plan.edges, {}, &TimedEdge::start);
  Builder builder(std::move(root), graph);
  for (const TimedEdge& edge : plan.edges) builder.add(edge);
  return std::move(builder).take();
}

}  // namespace railwright::collectives
