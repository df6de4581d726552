// What `railwright collective` shows: a table for people and for scripts that read nccl-tests, one
// JSON document, and a page with a chart. All three hold the same numbers.
#pragma once

#include "coordinator/collective/sweep.hpp"
#include "coordinator/console.hpp"

namespace railwright::coordinator {

std::string sweep_text(const CollectiveRequest& request, const Sweep& sweep);
// Without wall_s and peak_rss_bytes: the same request, the same document.
Json sweep_json(const CollectiveRequest& request, const Sweep& sweep);
// One HTML file that needs no other; bus bandwidth against size.
std::string sweep_page(const CollectiveRequest& request, const Sweep& sweep);

// "all_reduce over 32 ranks on 4 nodes of dgx-h100-4"
std::string title_of(const CollectiveRequest& request);
// What is rounded, what is latency alone, and why an algorithm was chosen: a sentence each.
std::vector<std::string> notes_of(const CollectiveRequest& request, const Sweep& sweep);
// "nvlink (node0/gpu0->node0/switch)", or "latency".
std::string limit_of(const CollectiveRequest& request, const Row& row);
// Of one size, the row that takes the least time; ties go to the first.
const Row& fastest_of(const CollectiveRequest& request, const Sweep& sweep, std::size_t size);
std::string nccl_name(const collectives::nccl::Choice& choice);  // "Tree/LL128"

}  // namespace railwright::coordinator
