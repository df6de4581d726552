// The words of plan.json. Private to the emulator.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "emulator/plan.hpp"

namespace railwright::emulator::words {

template <class T, std::size_t n>
using Words = std::array<std::pair<std::string_view, T>, n>;

inline constexpr Words<workload::Dimension, 5> dimensions{{{"tp", workload::Dimension::tp},
                                                           {"cp", workload::Dimension::cp},
                                                           {"ep", workload::Dimension::ep},
                                                           {"dp", workload::Dimension::dp},
                                                           {"pp", workload::Dimension::pp}}};
inline constexpr Words<workload::Dimension, 10> groups{{{"tp", workload::Dimension::tp},
                                                        {"cp", workload::Dimension::cp},
                                                        {"ep", workload::Dimension::ep},
                                                        {"dp", workload::Dimension::dp},
                                                        {"pp", workload::Dimension::pp},
                                                        {"etp", workload::Dimension::etp},
                                                        {"edp", workload::Dimension::edp},
                                                        {"dp_cp", workload::Dimension::dp_cp},
                                                        {"shard", workload::Dimension::shard},
                                                        {"replica", workload::Dimension::replica}}};
inline constexpr Words<workload::Operation, 7> operations{
    {{"all_reduce", workload::Operation::all_reduce},
     {"reduce_scatter", workload::Operation::reduce_scatter},
     {"all_gather", workload::Operation::all_gather},
     {"broadcast", workload::Operation::broadcast},
     {"reduce", workload::Operation::reduce},
     {"all_to_all", workload::Operation::all_to_all},
     {"send", workload::Operation::send}}};
inline constexpr Words<collectives::Algorithm, 18> algorithms{
    {{"ring", collectives::Algorithm::ring},
     {"chain", collectives::Algorithm::chain},
     {"binomial_tree", collectives::Algorithm::binomial_tree},
     {"double_tree", collectives::Algorithm::double_tree},
     {"recursive_doubling", collectives::Algorithm::recursive_doubling},
     {"halving_doubling", collectives::Algorithm::halving_doubling},
     {"swing", collectives::Algorithm::swing},
     {"bine", collectives::Algorithm::bine},
     {"torus", collectives::Algorithm::torus},
     {"bruck", collectives::Algorithm::bruck},
     {"pat", collectives::Algorithm::pat},
     {"hierarchical", collectives::Algorithm::hierarchical},
     {"pairwise", collectives::Algorithm::pairwise},
     {"direct", collectives::Algorithm::direct},
     {"one_shot", collectives::Algorithm::one_shot},
     {"nvls", collectives::Algorithm::nvls},
     {"nvls_tree", collectives::Algorithm::nvls_tree},
     {"sharp", collectives::Algorithm::sharp}}};
inline constexpr Words<workload::Recompute, 3> recomputes{
    {{"none", workload::Recompute::none},
     {"selective", workload::Recompute::selective},
     {"full", workload::Recompute::full}}};
inline constexpr Words<workload::ContextExchange, 2> contexts{
    {{"ring", workload::ContextExchange::ring},
     {"all_to_all", workload::ContextExchange::all_to_all}}};
inline constexpr Words<workload::PipelineSchedule, 2> pipelines{
    {{"1f1b", workload::PipelineSchedule::one_forward_one_backward},
     {"zb-h1", workload::PipelineSchedule::zero_bubble_h1}}};
inline constexpr Words<workload::Precision, 8> precisions{{{"fp32", workload::Precision::fp32},
                                                           {"tf32", workload::Precision::tf32},
                                                           {"bf16", workload::Precision::bf16},
                                                           {"fp16", workload::Precision::fp16},
                                                           {"fp8", workload::Precision::fp8},
                                                           {"fp4", workload::Precision::fp4},
                                                           {"mxfp8", workload::Precision::mxfp8},
                                                           {"nvfp4", workload::Precision::nvfp4}}};

template <class T, std::size_t n>
constexpr std::string_view word_of(const Words<T, n>& words, T value) {
  for (const auto& [word, meaning] : words)
    if (meaning == value) return word;
  return {};
}

}  // namespace railwright::emulator::words
