/* How a WINOGRAD_GRAD kernel's work is cut. Every work item transforms its inputs and gradients for
 * itself, so that it should have many channels; but it keeps its sums at hand, which is why there
 * are not too many. */
#include "compiler/kernels/schedule.h"

enum {
    SUMS = 5 << 19,   /* bytes of a work item's sums at most */
    WANTED_ITEMS = 4, /* where the channels allow it */
    BLOCK = 64,       /* tiles: sums wait in memory between blocks */
};

int64_t cvm_winograd_grad_tiles(const CvmWinogradGrad *grad) {
    return cvm_count_tiles(grad->pictures, grad->output, grad->tile);
}

/* As with WINOGRAD, a cache line more than needed keeps frequencies out of each other's way. */
int64_t cvm_winograd_grad_input_step(const CvmWinogradGrad *grad) {
    return grad->item_inputs * grad->block + 16;
}

int64_t cvm_winograd_grad_output_step(const CvmWinogradGrad *grad) {
    return grad->item_outputs * grad->block + 16;
}

int64_t cvm_winograd_grad_sum_step(const CvmWinogradGrad *grad) {
    return grad->item_inputs * grad->item_outputs + 16;
}

static bool is_small_enough(const CvmWinogradGrad *grad, int64_t frequencies) {
    int64_t items = grad->inputs / grad->item_inputs * (grad->outputs / grad->item_outputs);
    return items >= WANTED_ITEMS &&
           frequencies * grad->item_inputs * grad->item_outputs * 4 <= SUMS;
}

/* A share of a block of input channels that leaves room for the step's vectors and one element. */
static int64_t choose_channels(const CvmWinogradGrad *grad, CvmTargetShape target) {
    int64_t channels = grad->lanes, vectors = grad->step / grad->lanes;
    while (channels > 1 && channels * vectors + vectors + 1 > target.registers)
        channels /= 2;
    return channels;
}

void cvm_schedule_winograd_grad(CvmKernel *kernel, CvmTargetShape target) {
    CvmWinogradGrad *grad = &kernel->winograd_grad;
    int64_t side = grad->tile + grad->taps - 1, frequencies = side * side;
    int64_t tiles = cvm_winograd_grad_tiles(grad);
    grad->item_inputs = grad->inputs;
    grad->item_outputs = grad->outputs;
    for (bool halved = true; halved && !is_small_enough(grad, frequencies);) {
        int64_t *larger =
            grad->item_inputs > grad->item_outputs ? &grad->item_inputs : &grad->item_outputs;
        halved = *larger % (2 * grad->lanes) == 0 && *larger > 4 * grad->lanes;
        *larger /= halved ? 2 : 1;
    }
    grad->step = grad->item_outputs % (2 * grad->lanes) ? grad->lanes : 2 * grad->lanes;
    grad->block = tiles < BLOCK ? tiles : BLOCK;
    grad->channels = choose_channels(grad, target);
    kernel->extent = grad->inputs / grad->item_inputs * (grad->outputs / grad->item_outputs);
    kernel->scratch_bytes =
        4 * frequencies *
        (cvm_winograd_grad_input_step(grad) + cvm_winograd_grad_output_step(grad) +
         cvm_winograd_grad_sum_step(grad));
}
