#include "kernel_decls.h"
#include "kernels.h"

#define PEAR_STRING_(x) #x
#define PEAR_STRING(x) PEAR_STRING_(x)

namespace pear {

const Kernels PEAR_JOIN(kKernels_, PEAR_ISA) = {
    PEAR_STRING(PEAR_ISA),
    &PEAR_ISA::project,
    &PEAR_ISA::project_backward,
    &PEAR_ISA::composite_forward,
    &PEAR_ISA::composite_backward,
    &PEAR_ISA::ssim_spans,
    &PEAR_ISA::ssim_reach,
    &PEAR_ISA::ssim_band,
    &PEAR_ISA::blend_panels,
    &PEAR_ISA::skin_vertices,
    &PEAR_ISA::bind_splats,
    &PEAR_ISA::bind_splats_backward,
    &PEAR_ISA::skin_vertices_backward,
    &PEAR_ISA::adam_rows,
    &PEAR_ISA::bound_splats,
};

}  // namespace pear
