/* How a LINEAR kernel's work is cut: tiles of pictures x features whose sums fill the registers,
 * chunks of inputs of which many pictures' x stays in the nearest cache. */
#include "compiler/kernels/schedule.h"

enum {
    CACHED = 16 << 10, /* bytes of x in a chunk: half of a usual first cache */
    LINE = 64,         /* bytes of a cache line: of weights, chunks are multiples of it */
    TOGETHER = 32,     /* pictures at most, so that a chunk is not too short */
    PICTURES = 6,      /* of a tile, at most */
    FEATURES = 4,
    ITEM_FEATURES = 48, /* a chunk of x is copied anew for each work item, so an item has many */
    WANTED_ITEMS = 4,
    SMALL_WEIGHTS = 1 << 16, /* floats: half of a usual second cache */
    OVERLAPPING = 8,         /* multiply-adds under way at once: fewer sums take as long */
    WAY = 64 << 10,          /* bytes of one of a second cache's ways: addresses so far apart … */
    WAYS = 8,                /* … share a place for so many lines */
    MOST_AHEAD = 4,
};

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* What the batch takes for one feature: multiply-adds, and loads as half of one each. */
static double cost_of_tile(int64_t batch, int64_t pictures, int64_t features) {
    int64_t sums = pictures * features;
    double work =
        (double)(sums > OVERLAPPING ? sums : OVERLAPPING) + 0.5 * (double)(pictures + features);
    return (double)((batch + pictures - 1) / pictures) * work / (double)features;
}

static void choose_tile(CvmKernel *kernel, CvmTargetShape target) {
    CvmLinear *linear = &kernel->linear;
    CvmCuts cuts = {.count = 0};
    for (int64_t features = 1; features <= FEATURES; features++)
        for (int64_t pictures = 1; pictures <= smaller(linear->batch, PICTURES); pictures++)
            /* sums, a weight of each feature, and an element of x */
            if (pictures * features + features + 1 <= target.registers)
                cvm_cuts_add(&cuts, pictures, features,
                             -cost_of_tile(linear->batch, pictures, features));
    const CvmCut *cut = cvm_cuts_choose(&cuts, kernel, target);
    linear->tile_pictures = cut->sizes[0];
    linear->tile_features = cut->sizes[1];
}

/* Of a work item. Where the weights fit a core's second cache, each item has all features of some
 * pictures: mostly those that the same core made before, whose x is in its caches still. Else all
 * pictures, so that the weights are read once. */
static int64_t choose_pictures(const CvmLinear *linear) {
    if (linear->inputs * linear->features > SMALL_WEIGHTS)
        return linear->batch;
    for (int64_t items = WANTED_ITEMS; items * 2 * linear->tile_pictures <= linear->batch; items++)
        if (linear->batch % (items * linear->tile_pictures) == 0)
            return linear->batch / items;
    return linear->batch;
}

static int64_t choose_block(const CvmLinear *linear) {
    int64_t tiles = (linear->features + linear->tile_features - 1) / linear->tile_features;
    int64_t most = ITEM_FEATURES / linear->tile_features, wanted = tiles / WANTED_ITEMS;
    return linear->tile_features * (wanted < 1 ? 1 : smaller(wanted, most));
}

/* Memory answers later than one tile takes. But rows of weights often lie powers of two apart, so
 * that a cache keeps few of them: those ahead must not drive out those that are multiplied. */
static int64_t choose_ahead(const CvmLinear *linear, int64_t row_bytes) {
    int64_t apart = row_bytes & -row_bytes; /* the largest power of two in it */
    int64_t rows = WAYS * WAY / (apart < WAY ? apart : WAY);
    int64_t ahead = rows / linear->tile_features - 1;
    return ahead < 1 ? 1 : smaller(ahead, MOST_AHEAD);
}

void cvm_schedule_linear(CvmKernel *kernel, CvmTargetShape target) {
    CvmLinear *linear = &kernel->linear;
    choose_tile(kernel, target);
    linear->pictures = choose_pictures(linear);
    linear->block = linear->pictures < linear->batch ? linear->features : choose_block(linear);
    linear->together =
        smaller(linear->pictures, TOGETHER / linear->tile_pictures * linear->tile_pictures);
    int64_t weight_bytes = (int64_t)cvm_dtype_bytes(kernel->buffers[kernel->b].dtype);
    int64_t line = LINE / weight_bytes;
    linear->ahead = choose_ahead(linear, linear->inputs * weight_bytes);
    linear->chunk = CACHED / 4 / linear->together / line * line;
    linear->dots = target.dots && kernel->buffers[kernel->a].dtype == CVM_BF16;
    kernel->extent =
        (linear->features + linear->block - 1) / linear->block * (linear->batch / linear->pictures);
    kernel->scratch_bytes =
        4 * (linear->together * linear->chunk + linear->pictures * linear->block * target.lanes);
}

/* Few enough for as many threads as one may have, enough that OpenBLAS is in its stride. */
void cvm_schedule_blas(CvmKernel *kernel) {
    enum { LEAST_FEATURES = 64, MOST_FEATURES = 512, THREADS = 16 };
    CvmLinear *linear = &kernel->linear;
    int64_t wanted = linear->features / THREADS;
    linear->block = wanted < LEAST_FEATURES ? LEAST_FEATURES : smaller(wanted, MOST_FEATURES);
    kernel->extent = (linear->features + linear->block - 1) / linear->block;
    kernel->scratch_bytes = 4 * linear->batch * linear->block;
}
