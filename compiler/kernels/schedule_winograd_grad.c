/* How a WINOGRAD_GRAD kernel's work is cut. Every work item transforms its inputs and gradients for
 * itself, so that it should have many channels; but it keeps its sums at hand, which is why there
 * are not too many. */
#include "compiler/kernels/schedule.h"

enum {
    SUMS = 5 << 19,     /* bytes of a work item's sums at most */
    WANTED_ITEMS = 4,   /* where the channels allow it */
    MOST_CHANNELS = 12, /* in registers: of AVX-512's 32, more leave LLVM none to move with */
    BLOCK = 64,         /* tiles: sums wait in memory between blocks */
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

static int64_t count_items(const CvmWinogradGrad *grad) {
    return grad->groups * (grad->inputs / grad->item_inputs) * (grad->outputs / grad->item_outputs);
}

static bool is_small_enough(const CvmWinogradGrad *grad, int64_t frequencies) {
    return count_items(grad) >= WANTED_ITEMS &&
           frequencies * grad->item_inputs * grad->item_outputs * 4 <= SUMS;
}

/* Halves the larger share of the channels, or tells that it has too few: items of fewer than some
 * vectors mostly transform, which only the first cut is worth, as it lets two cores share. */
static bool halve_items(CvmWinogradGrad *grad) {
    int64_t *larger =
        grad->item_inputs > grad->item_outputs ? &grad->item_inputs : &grad->item_outputs;
    int64_t least = count_items(grad) == 1 ? grad->lanes : 4 * grad->lanes;
    if (*larger % (2 * grad->lanes) || *larger <= least)
        return false;
    *larger /= 2;
    return true;
}

/* As many input channels as leave room for the step's vectors and two elements, and rows of whole
 * vectors that divide by them. */
static void choose_channels(CvmWinogradGrad *grad, CvmTargetShape target) {
    int64_t vectors = grad->step / grad->lanes, fits = (target.registers - vectors - 2) / vectors;
    grad->channels = fits < MOST_CHANNELS ? fits : MOST_CHANNELS;
    for (grad->row = grad->lanes; grad->row % grad->channels;)
        grad->row += grad->lanes;
}

void cvm_schedule_winograd_grad(CvmKernel *kernel, CvmTargetShape target) {
    CvmWinogradGrad *grad = &kernel->winograd_grad;
    int64_t side = grad->tile + grad->taps - 1, frequencies = side * side;
    int64_t tiles = cvm_winograd_grad_tiles(grad);
    grad->item_inputs = grad->inputs;
    grad->item_outputs = grad->outputs;
    while (!is_small_enough(grad, frequencies) && halve_items(grad))
        continue;
    grad->step = grad->item_outputs % (2 * grad->lanes) ? grad->lanes : 2 * grad->lanes;
    int64_t blocks = (tiles + BLOCK - 1) / BLOCK;
    grad->block = (tiles + blocks - 1) / blocks;
    choose_channels(grad, target);
    kernel->extent = count_items(grad);
    kernel->scratch_bytes =
        4 * frequencies *
        (cvm_winograd_grad_input_step(grad) + cvm_winograd_grad_output_step(grad) +
         cvm_winograd_grad_sum_step(grad));
}
