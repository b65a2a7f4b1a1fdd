/* How a LINEAR kernel's work is cut: tiles of pictures x features whose sums fill the registers,
 * chunks of inputs of which a tile's pictures stay in the nearest cache. */
#include "compiler/kernels/schedule.h"

enum {
    CACHED = 16 << 10, /* bytes of a tile's x in a chunk: half of a usual first cache */
    LINE = 16,         /* floats of a cache line, which chunks are multiples of */
    PICTURES = 4,      /* of a tile, at most */
    FEATURES = 4,
    ITEM_FEATURES = 8, /* x is read anew for each work item, so an item has several */
};

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

void cvm_schedule_linear(CvmKernel *kernel, CvmTargetShape target) {
    CvmLinear *linear = &kernel->linear;
    int64_t pictures = smaller(linear->batch, PICTURES), features = 1;
    while (features < FEATURES &&
           (pictures + 1) * (features + 1) + 1 < target.registers) /* sums, weights, one of x */
        features++;
    linear->tile_pictures = pictures;
    linear->tile_features = features;
    linear->block = smaller(ITEM_FEATURES / features * features, linear->features);
    linear->chunk = CACHED / 4 / pictures / LINE * LINE;
    kernel->extent = (linear->features + linear->block - 1) / linear->block;
}
