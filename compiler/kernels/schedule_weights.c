/* The schedule of WEIGHTS kernels. A tile of t output vectors x k inputs and taps has t k sums in
 * registers, which take t + k loads for t k multiply-adds at each pixel. Chunks are as large as dy
 * of a tile may be to stay in the first cache while the tiles of a work item pass over it. Blocks
 * of inputs are split into parts until there are work items for all threads, and until the sums of
 * an item fit the second cache. */
#include "compiler/kernels/schedule.h"

enum {
    CHUNK_PIXELS = 256,
    ITEM_BYTES = 128 << 10, /* of sums */
    ENOUGH_ITEMS = 16,
};

/* Multiply-adds per cycle's worth of work: two of them and two loads go together, fewer than ten
 * sums wait for each other. */
static double tile_score(int64_t outputs, int64_t inputs, int64_t taps) {
    double sums = (double)(outputs * inputs * taps), loads = (double)(outputs + inputs * taps);
    double busy = sums > 10 ? sums : 10;
    return sums / ((loads > busy ? loads : busy) + 0.1 * loads);
}

static void choose_tile(CvmWeightGrad *weights, int registers) {
    double best = 0;
    int64_t inputs = weights->depthwise ? 1 : weights->run;
    for (int64_t o = 1; o <= 4 && o <= weights->outputs; o++)
        for (int64_t i = 1; i <= inputs; i++)
            for (int64_t t = 1; t <= weights->kernel[1]; t++) {
                if (weights->outputs % o || inputs % i || o * i * t + o + 1 > registers)
                    continue;
                int64_t turns = (weights->kernel[1] + t - 1) / t;
                double full = (double)weights->kernel[1] / (double)(turns * t);
                double score = tile_score(o, i, t) * full;
                if (score > best) {
                    best = score;
                    weights->tile_outputs = o;
                    weights->tile_inputs = i;
                    weights->tile_taps = t;
                }
            }
}

int64_t cvm_weights_item_run(const CvmWeightGrad *weights) {
    int64_t blocks = weights->inputs / weights->run;
    int64_t most = (blocks + weights->parts - 1) / weights->parts;
    return most * weights->run * weights->kernel[0] * weights->kernel[1];
}

void cvm_schedule_weights(CvmKernel *kernel, CvmTargetShape target) {
    CvmWeightGrad *weights = &kernel->weights;
    choose_tile(weights, target.registers);
    weights->chunk_rows = CHUNK_PIXELS / weights->size[1];
    if (weights->chunk_rows > weights->size[0])
        weights->chunk_rows = weights->size[0];
    if (weights->chunk_rows < 1)
        weights->chunk_rows = 1;
    int64_t blocks = weights->inputs / weights->run;
    int64_t items = weights->groups * (weights->outputs / weights->tile_outputs);
    int64_t bytes = weights->tile_outputs * weights->inputs * weights->kernel[0] *
                    weights->kernel[1] * target.lanes * 4;
    weights->parts = 1;
    while (weights->parts * 2 <= blocks &&
           (items * weights->parts < ENOUGH_ITEMS || bytes / weights->parts > ITEM_BYTES))
        weights->parts *= 2;
    kernel->extent = items * weights->parts;
    if (weights->unpacks)
        kernel->scratch_bytes =
            weights->tile_outputs * cvm_weights_item_run(weights) * target.lanes * 4;
}
