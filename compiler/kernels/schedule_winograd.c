/* How a WINOGRAD kernel's work is cut, from a cost model: tiles that are multiplied together in
 * registers, tiles and output channels of a work item. */
#include "compiler/kernels/schedule.h"
#include "compiler/ops/winograd.h"

enum {
    CHUNK = 320 << 10, /* bytes of weights */
    SCRATCH = 3 << 19, /* bytes of a work item at most, so that it stays in a core's caches */
    SECOND_CACHE = 480 << 10, /* bytes of one */
    THIRD_CACHE = 4 << 20,    /* bytes of a core's share in one */
    LARGE_WEIGHTS = 12 << 20, /* bytes: they come from memory rather than a cache, … */
    LARGE_BLOCK = 64,         /* … so that a block has to have so many tiles to hide it, … */
    LARGEST_TILES_BLOCK = 32, /* … or so many of 9 x 9 inputs, as more leave the second cache … */
    LEAST_BLOCK = 24,         /* … and else so many */
    WANTED_ITEMS = 4,
    MOST_TILES = 12,    /* in registers: of AVX-512's 32, more leave LLVM none to move with */
    LEAST_OUTPUTS = 64, /* of a part: each transforms its inputs for itself */
};

int64_t cvm_winograd_side(const CvmWinograd *winograd) {
    return winograd->tile + winograd->taps - 1;
}

int64_t cvm_count_tiles(int64_t pictures, const int64_t size[2], int64_t tile) {
    return pictures * ((size[0] + tile - 1) / tile) * ((size[1] + tile - 1) / tile);
}

int64_t cvm_winograd_tiles(const CvmWinograd *winograd) {
    return cvm_count_tiles(winograd->pictures, winograd->output, winograd->tile);
}

int64_t cvm_winograd_blocks(const CvmWinograd *winograd) {
    int64_t size = winograd->group * winograd->groups;
    return (cvm_winograd_tiles(winograd) + size - 1) / size;
}

/* A cache line more than the tiles take, so that the stores of one tile's frequencies do not all
 * fall into one set of the cache. */
int64_t cvm_winograd_input_step(const CvmWinograd *winograd) {
    return winograd->inputs * winograd->group * winograd->groups + 16;
}

int64_t cvm_winograd_result_step(const CvmWinograd *winograd) {
    return winograd->group * winograd->groups * winograd->lanes + 16;
}

int64_t cvm_winograd_results(const CvmWinograd *winograd) {
    int64_t side = cvm_winograd_side(winograd);
    return side * side * cvm_winograd_result_step(winograd) *
           (winograd->together * winograd->step / winograd->lanes);
}

int64_t cvm_winograd_weight_step(const CvmWinograd *winograd) {
    return winograd->transforms ? winograd->together * winograd->chunk * winograd->step + 16
                                : winograd->inputs * winograd->outputs;
}

/* What `tiles` cost in groups of a size: a group takes as long as its multiply-adds, but at least
 * eight of them have to overlap, and a while for loading weights; and an empty place costs as much
 * as a tile. */
static double cost_of_groups(int64_t tiles, int64_t group, int64_t vectors) {
    int64_t sums = group * vectors;
    return (double)((tiles + group - 1) / group) * (double)(1 + (sums > 8 ? sums : 8));
}

static int64_t choose_group(int64_t tiles, int64_t vectors, CvmTargetShape target) {
    int64_t most = (target.registers - 2 - vectors) / vectors, best;
    best = most = most > MOST_TILES ? MOST_TILES : most;
    for (int64_t group = most; group >= 1; group--)
        if (cost_of_groups(tiles, group, vectors) < cost_of_groups(tiles, best, vectors))
            best = group;
    return best;
}

/* Tiles whose frequencies fit a second cache beside the sums of one step; 0 where those are too few
 * to read all weights again for them. It is large tiles with few channels that gain by it
 * (measured). */
static int64_t narrow_block(const CvmWinograd *winograd) {
    int64_t side = cvm_winograd_side(winograd);
    int64_t fits = SECOND_CACHE / (side * side * 4 * (winograd->inputs + winograd->step));
    return side >= CVM_WINOGRAD_LARGE && fits >= LEAST_BLOCK ? fits : 0;
}

/* Tiles that fit the scratch memory, more where the weights need it, all of them where they are
 * few. */
static int64_t choose_block(const CvmWinograd *winograd, int64_t tiles) {
    int64_t side = cvm_winograd_side(winograd);
    int64_t narrow = narrow_block(winograd);
    int64_t fits =
        narrow ? narrow : SCRATCH / (side * side * 4 * (winograd->inputs + winograd->outputs));
    if (tiles < CVM_WINOGRAD_FEW_TILES)
        return tiles;
    bool large = side * side * 4 * winograd->inputs * winograd->outputs > LARGE_WEIGHTS;
    int64_t wanted = side == CVM_WINOGRAD_SIDE ? LARGEST_TILES_BLOCK : LARGE_BLOCK;
    int64_t least = large ? wanted : LEAST_BLOCK;
    fits = fits < least ? least : fits;
    int64_t blocks = (tiles + fits - 1) / fits;
    blocks += blocks % 2; /* two cores are to have equally many */
    return (tiles + blocks - 1) / blocks;
}

/* A part's output channels are of one group. */
static int64_t choose_parts(const CvmWinograd *winograd, int64_t blocks) {
    int64_t parts = winograd->channel_groups, steps = winograd->outputs / winograd->step;
    while (blocks * parts < WANTED_ITEMS && steps % (2 * parts) == 0 &&
           winograd->outputs / (2 * parts) >= LEAST_OUTPUTS)
        parts *= 2;
    return parts;
}

static int64_t largest_divisor(int64_t count, int64_t most) {
    int64_t divisor = count;
    while (divisor > 1 && (count % divisor || divisor > most))
        divisor--;
    return divisor;
}

/* Those of a turn. Large tiles gain where its sums fit a second cache, unless what each turn reads
 * again, the transformed inputs, does not even stay in the third (measured). */
static int64_t choose_steps(const CvmWinograd *winograd) {
    int64_t side = cvm_winograd_side(winograd), frequencies = side * side;
    bool narrow = winograd->group * winograd->groups <= narrow_block(winograd);
    if (narrow || winograd->transforms)
        return 1;
    int64_t together = winograd->outputs / winograd->step / winograd->parts;
    if (side < CVM_WINOGRAD_LARGE ||
        frequencies * 4 * cvm_winograd_input_step(winograd) > THIRD_CACHE)
        return together;
    int64_t sums =
        frequencies * 4 * cvm_winograd_result_step(winograd) * (winograd->step / winograd->lanes);
    return largest_divisor(together, SECOND_CACHE / sums);
}

/* Input channels that are summed in registers: where filters are transformed, as many as have
 * transforms, for one step of output channels, that stay in a second cache. */
static int64_t choose_chunk(const CvmWinograd *winograd) {
    int64_t side = cvm_winograd_side(winograd), blocks = winograd->inputs / winograd->lanes;
    int64_t most = side < CVM_WINOGRAD_LARGE ? blocks : CVM_WINOGRAD_SUMMED / winograd->lanes;
    int64_t fits = CHUNK / (side * side * 4 * winograd->lanes * winograd->step);
    if (winograd->transforms && fits < most)
        most = fits;
    return largest_divisor(blocks, most) * winograd->lanes;
}

/* The model's, or half or twice as many where that was measured to be better. */
static int64_t measured_block(CvmKernel *kernel, CvmTargetShape target) {
    int64_t tiles = cvm_winograd_tiles(&kernel->winograd);
    int64_t block = choose_block(&kernel->winograd, tiles);
    CvmCuts cuts = {.count = 0};
    cvm_cuts_add(&cuts, block, 0, 1);
    if (block > 1)
        cvm_cuts_add(&cuts, (block + 1) / 2, 0, 0);
    if (2 * block <= tiles)
        cvm_cuts_add(&cuts, 2 * block, 0, 0);
    return cvm_cuts_choose(&cuts, kernel, target)->sizes[0];
}

void cvm_schedule_winograd(CvmKernel *kernel, CvmTargetShape target) {
    CvmWinograd *winograd = &kernel->winograd;
    int64_t side = cvm_winograd_side(winograd);
    int64_t block = measured_block(kernel, target);
    winograd->group = choose_group(block, winograd->step / winograd->lanes, target);
    winograd->groups = (block + winograd->group - 1) / winograd->group;
    winograd->parts = choose_parts(winograd, cvm_winograd_blocks(winograd));
    kernel->extent = cvm_winograd_blocks(winograd) * winograd->parts;
    winograd->chunk = choose_chunk(winograd);
    winograd->together = choose_steps(winograd);
    int64_t weights = winograd->transforms ? cvm_winograd_weight_step(winograd) : 0;
    kernel->scratch_bytes = 4 * (side * side * (cvm_winograd_input_step(winograd) + weights) +
                                 cvm_winograd_results(winograd));
}
