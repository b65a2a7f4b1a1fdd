/* The schedule of WEIGHTS kernels. A tile of t output vectors x k inputs and taps has t k sums in
 * registers, which take t + k loads for t k multiply-adds at each pixel. Chunks are as large as dy
 * of a tile may be to stay in the first cache while the tiles of a work item pass over it. Each
 * work item reads all pixels of its inputs and of its outputs' gradients, so a work item has as
 * many of either as leaves items for all threads, while its sums fit the second cache; how they are
 * shared out is what takes the fewest bytes read. */
#include "compiler/kernels/schedule.h"

enum {
    CHUNK_PIXELS = 256,
    ITEM_BYTES = 128 << 10, /* of sums */
    ITEM_OUTPUTS = 32,      /* vectors of them at most */
    ENOUGH_ITEMS = 4,
    OVERLAPPING = 8, /* multiply-adds under way at once: fewer sums wait for each other … */
    COPIES = 4,      /* … so there are copies of them, at most so many */
};

/* Multiply-adds per cycle's worth of work: two of them and two loads go together, fewer than ten
 * sums wait for each other. */
static double tile_score(int64_t outputs, int64_t inputs, int64_t taps) {
    double sums = (double)(outputs * inputs * taps), loads = (double)(outputs + inputs * taps);
    double busy = sums > 10 ? sums : 10;
    return sums / ((loads > busy ? loads : busy) + 0.1 * loads);
}

/* Whether a tile of so many inputs surely lies in one block of the pictures, or it is known where
 * it lies. */
static bool stays_in_blocks(const CvmWeightGrad *weights, int64_t inputs) {
    const CvmMix *mix = &weights->mix;
    if (mix->inputs && mix->inputs < mix->lanes && mix->lanes % mix->inputs == 0)
        return inputs == mix->inputs; /* so that shuffles can spread them */
    return !mix->inputs || (mix->inputs % inputs == 0 && mix->lanes % inputs == 0);
}

static void choose_tile(CvmWeightGrad *weights, int registers) {
    double best = 0;
    int64_t inputs = weights->run;
    int64_t most = weights->mix.inputs ? 6 : 4; /* groups that share vectors share what is loaded */
    for (int64_t o = 1; o <= most && o <= weights->outputs; o++)
        for (int64_t i = 1; i <= inputs; i++)
            for (int64_t t = 1; t <= weights->kernel[1]; t++) {
                if (weights->outputs % o || inputs % i || !stays_in_blocks(weights, i) ||
                    o * i * t + o + 1 > registers)
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

/* Copies of the tile's sums, for pixels in turn. */
static int64_t choose_copies(const CvmWeightGrad *weights, int registers) {
    int64_t sums = weights->tile_outputs * weights->tile_inputs * weights->tile_taps;
    int64_t copies = (OVERLAPPING + sums - 1) / sums;
    int64_t others =
        weights->tile_outputs + 1 + (weights->mix.outputs > 1 ? weights->tile_outputs : 0);
    copies = copies < COPIES ? copies : COPIES;
    while (copies > 1 && copies * sums + others > registers)
        copies--;
    return copies;
}

int64_t cvm_weights_item_run(const CvmWeightGrad *weights) {
    int64_t blocks = weights->inputs / weights->run;
    int64_t most = (blocks + weights->parts - 1) / weights->parts;
    return most * weights->run * weights->kernel[0] * weights->kernel[1];
}

static int64_t item_bytes(const CvmWeightGrad *weights, int lanes) {
    return weights->item_tiles * weights->tile_outputs * cvm_weights_item_run(weights) * lanes * 4;
}

static int64_t count_items(const CvmWeightGrad *weights) {
    int64_t tiles = weights->outputs / weights->tile_outputs;
    return weights->groups * (tiles / weights->item_tiles) * weights->parts;
}

/* Floats that all items read: x once for each part of the outputs, dy for each of the inputs. */
static double floats_read(const CvmWeightGrad *weights, int lanes) {
    int64_t inputs = weights->mix.inputs
                         ? weights->outputs * lanes / weights->mix.outputs * weights->inputs
                         : weights->inputs;
    double x = (double)inputs * (double)(weights->in_size[0] * weights->in_size[1]);
    double dy = (double)(weights->outputs * lanes) * (double)(weights->size[0] * weights->size[1]);
    double turns = (double)(weights->outputs / weights->tile_outputs / weights->item_tiles);
    return turns * x + (double)weights->parts * dy;
}

static double score_of_items(const CvmWeightGrad *weights, int lanes) {
    double score = -floats_read(weights, lanes);
    int64_t items = count_items(weights), bytes = item_bytes(weights, lanes);
    if (items < ENOUGH_ITEMS)
        score *= (double)ENOUGH_ITEMS / (double)items;
    return bytes > ITEM_BYTES ? score * 4 * (double)bytes / ITEM_BYTES : score;
}

static void choose_items(CvmKernel *kernel, CvmTargetShape target) {
    CvmWeightGrad *weights = &kernel->weights;
    int64_t tiles = weights->outputs / weights->tile_outputs;
    int64_t blocks = weights->inputs / weights->run;
    CvmCuts cuts = {.count = 0};
    for (int64_t item = 1; item <= tiles && item * weights->tile_outputs <= ITEM_OUTPUTS; item++)
        for (int64_t parts = 1; parts <= blocks; parts *= 2) {
            weights->item_tiles = item;
            weights->parts = parts;
            bool whole = !weights->mix.inputs || item == tiles; /* code knows where a vector is */
            if (tiles % item == 0 && whole)
                cvm_cuts_add(&cuts, item, parts, score_of_items(weights, target.lanes));
        }
    weights->item_tiles = weights->parts = 0; /* not cut yet: so a kernel asks */
    const CvmCut *cut = cvm_cuts_choose(&cuts, kernel, target);
    weights->item_tiles = cut->sizes[0];
    weights->parts = cut->sizes[1];
}

void cvm_schedule_weights(CvmKernel *kernel, CvmTargetShape target) {
    CvmWeightGrad *weights = &kernel->weights;
    choose_tile(weights, target.registers);
    weights->copies = choose_copies(weights, target.registers);
    weights->chunk_rows = CHUNK_PIXELS / weights->size[1];
    if (weights->chunk_rows > weights->size[0])
        weights->chunk_rows = weights->size[0];
    if (weights->chunk_rows < 1)
        weights->chunk_rows = 1;
    choose_items(kernel, target);
    kernel->extent = count_items(weights);
    if (weights->applies)
        kernel->scratch_bytes = item_bytes(weights, target.lanes);
}
