// Entry points of a fit's updates: Adam, the splats' bounds, and the smooth solve behind the cloth.
#include <cmath>
#include <cstddef>
#include <new>
#include <vector>

#include "abi.h"
#include "kernels.h"
#include "thread_pool.h"

namespace pear {
namespace {

// Rows of four floats, of which three are used: one register holds x, y and z of a vertex.
typedef float Vec4 __attribute__((vector_size(16)));

// L D L^T of a symmetric matrix. Column j of L below its diagonal of ones is entries
// [columns[j], columns[j + 1]) of rows and values.
struct Factor {
  int size;
  const int32_t* order;  // (size,) where each row of the matrix stands in the factor
  const int32_t* columns;
  const int32_t* rows;
  const float* values;
  const float* inverse_diagonal;
};

void solve(const Factor& f, Vec4* x) {
  for (int j = 0; j < f.size; ++j) {
    const Vec4 known = x[j];
    for (int k = f.columns[j]; k < f.columns[j + 1]; ++k) x[f.rows[k]] -= f.values[k] * known;
  }
  for (int j = f.size - 1; j >= 0; --j) {
    Vec4 sum = f.inverse_diagonal[j] * x[j];
    for (int k = f.columns[j]; k < f.columns[j + 1]; ++k) sum -= f.values[k] * x[f.rows[k]];
    x[j] = sum;
  }
}

}  // namespace
}  // namespace pear

// One step of Adam on a table (rows, width), in place; `count` is the step's number, from 1.
// row_share (rows,) scales the rows' steps; null for 1.
PEAR_EXPORT int pear_adam(int rows, int width, const float* grad, float* mean, float* square,
                          float* value, const float* row_share, double rate, double beta1,
                          double beta2, int count) {
  const double bias1 = 1 - std::pow(beta1, count), bias2 = 1 - std::pow(beta2, count);
  const pear::AdamArgs args = {width,
                               grad,
                               mean,
                               square,
                               value,
                               row_share,
                               static_cast<float>(beta1),
                               static_cast<float>(beta2),
                               static_cast<float>(rate / bias1),
                               static_cast<float>(1 / std::sqrt(bias2))};
  const pear::Kernels& k = *pear::kernels();
  pear::parallel_for(rows, pear::kUpdateBlock,
                     [&](int begin, int end) { k.adam_rows(args, begin, end); });
  return pear::kOk;
}

// One step of Adam on one row of `width` numbers with a clock each, in place. keep (width,) marks
// those that take part; null for all. rates (width,).
PEAR_EXPORT int pear_adam_row(int width, const float* grad, float* mean, float* square,
                              float* count, float* value, const float* rates,
                              const uint8_t* keep, double beta1, double beta2) {
  for (int i = 0; i < width; ++i) {
    if (keep != nullptr && keep[i] == 0) continue;
    const double g = grad[i], n = ++count[i];
    const double m = beta1 * mean[i] + (1 - beta1) * g;
    const double v = beta2 * square[i] + (1 - beta2) * g * g;
    mean[i] = static_cast<float>(m);
    square[i] = static_cast<float>(v);
    const double root = std::sqrt(v / (1 - std::pow(beta2, n)));
    value[i] -= static_cast<float>(rates[i] * m / (1 - std::pow(beta1, n)) / (root + 1e-8));
  }
  return pear::kOk;
}

// Brings N splats into their bounds, in place. Shapes as in update.h.
PEAR_EXPORT int pear_bound_splats(int count, float* offsets, float* log_scales, float* quats,
                                  float* logits, float* colors, const float* longest,
                                  const float* low, const float* high, float tilt,
                                  float logit_low, float logit_high) {
  const pear::BoundArgs args = {offsets, log_scales, quats, logits,    colors,    longest,
                                low,     high,       tilt,  logit_low, logit_high};
  const pear::Kernels& k = *pear::kernels();
  pear::parallel_for(count, pear::kUpdateBlock,
                     [&](int begin, int end) { k.bound_splats(args, begin, end); });
  return pear::kOk;
}

// Solves A x = b `times` times over, in place, for b (size, 3) and A = L D L^T; see Factor.
PEAR_EXPORT int pear_solve_factored(int size, const int32_t* order, const int32_t* columns,
                                    const int32_t* rows, const float* values,
                                    const float* inverse_diagonal, int times, float* b) {
  const pear::Factor factor = {size, order, columns, rows, values, inverse_diagonal};
  try {
    std::vector<pear::Vec4> x(static_cast<std::size_t>(size));
    for (int i = 0; i < size; ++i) {
      const float* from = b + 3 * static_cast<int64_t>(i);
      x[order[i]] = pear::Vec4{from[0], from[1], from[2], 0.f};
    }
    for (int n = 0; n < times; ++n) pear::solve(factor, x.data());
    for (int i = 0; i < size; ++i)
      for (int d = 0; d < 3; ++d) b[3 * static_cast<int64_t>(i) + d] = x[order[i]][d];
  } catch (const std::bad_alloc&) {
    return pear::kOutOfMemory;
  }
  return pear::kOk;
}
