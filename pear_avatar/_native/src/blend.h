// Blend shapes: a base plus a weighted sum of directions, for a batch of coefficients.
#pragma once

#include <stdint.h>

namespace pear {

// Directions are stored in panels of this many values, whatever the instruction set: panel by
// panel, coefficient by coefficient, the values side by side.
constexpr int kBlendPanel = 16;

struct BlendArgs {
  int num_values, num_coefficients, batch;
  const float* base;          // (values,)
  const void* panels;         // (panels, coefficients, kBlendPanel), padded with zeros
  bool half;                  // panels hold 16-bit floats, else 32-bit ones
  const float* coefficients;  // (batch, coefficients)
  float* out;                 // (batch, values)
};

}  // namespace pear
