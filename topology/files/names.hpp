// How the enumerations of topology/spec.hpp are spelled in files.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "topology/spec.hpp"

namespace railwright::topology {

template <class T, std::size_t n>
using NameTable = std::array<std::pair<std::string_view, T>, n>;

inline constexpr NameTable<Precision, 8> precision_names{{{"fp32", Precision::fp32},
                                                          {"tf32", Precision::tf32},
                                                          {"bf16", Precision::bf16},
                                                          {"fp16", Precision::fp16},
                                                          {"fp8", Precision::fp8},
                                                          {"fp4", Precision::fp4},
                                                          {"mxfp8", Precision::mxfp8},
                                                          {"nvfp4", Precision::nvfp4}}};
inline constexpr NameTable<Medium, 2> medium_names{
    {{"electrical", Medium::electrical}, {"optical", Medium::optical}}};
inline constexpr NameTable<Shape, 6> scale_up_shape_names{{{"none", Shape::none},
                                                           {"switch", Shape::switched},
                                                           {"full_mesh", Shape::full_mesh},
                                                           {"ring", Shape::ring},
                                                           {"mesh", Shape::mesh},
                                                           {"torus", Shape::torus}}};
inline constexpr NameTable<Shape, 8> network_shape_names{{{"switch", Shape::switched},
                                                          {"full_mesh", Shape::full_mesh},
                                                          {"ring", Shape::ring},
                                                          {"mesh", Shape::mesh},
                                                          {"torus", Shape::torus},
                                                          {"fat_tree", Shape::fat_tree},
                                                          {"rail_fat_tree", Shape::rail_fat_tree},
                                                          {"dragonfly", Shape::dragonfly}}};
inline constexpr NameTable<VertexKind, 4> switch_kind_names{
    {{"packet_switch", VertexKind::packet_switch},
     {"optical_port", VertexKind::optical_port},
     {"host_bridge", VertexKind::host_bridge},
     {"nic", VertexKind::nic}}};
inline constexpr NameTable<RoutingMode, 6> routing_mode_names{
    {{"spray", RoutingMode::spray},
     {"d_mod_k", RoutingMode::d_mod_k},
     {"ecmp_hash", RoutingMode::ecmp_hash},
     {"adaptive", RoutingMode::adaptive},
     {"dimension_order", RoutingMode::dimension_order},
     {"shortest_path", RoutingMode::shortest_path}}};
inline constexpr NameTable<CrossRail, 2> cross_rail_names{
    {{"pxn", CrossRail::pxn}, {"spine", CrossRail::spine}}};

template <class T, std::size_t n>
constexpr std::string_view name_of(const NameTable<T, n>& names, T value) {
  for (const auto& [name, named] : names)
    if (named == value) return name;
  return "";
}

}  // namespace railwright::topology
