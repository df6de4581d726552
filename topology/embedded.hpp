// Files compiled into the program, so that a binary can be copied anywhere and still knows its
// catalogue. The functions are made by railwright_embed() in cmake/railwright_targets.cmake.
#pragma once

#include <span>
#include <string_view>

namespace railwright {

struct EmbeddedFile {
  std::string_view name;  // path inside the project: "data/accelerators.csv"
  std::string_view text;
};

std::span<const EmbeddedFile> embedded_data();      // data/*
std::span<const EmbeddedFile> embedded_clusters();  // examples/clusters/*
std::span<const EmbeddedFile> embedded_models();    // examples/models/*

}  // namespace railwright
