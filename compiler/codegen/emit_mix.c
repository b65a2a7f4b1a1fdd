/* What vectors of outputs read of channel-blocked inputs where groups share vectors (CvmMix): each
 * lane the channel of its own group with a given number. Where lanes read few vectors, these are
 * loaded and their lanes spread by shuffles; where they read no more channels than vectors, or it
 * is not known when code is made where in a block these are, each channel is broadcast from memory,
 * and lanes are blended. */
#include "compiler/codegen/emitter.h"

enum { MAX_LANES = 64 };

/* The different numbers among those of a vector's lanes; from: which of them each lane has. */
typedef struct Sources {
    int64_t list[MAX_LANES];
    int count;
    int from[MAX_LANES];
} Sources;

static void add_source(Sources *sources, int lane, int64_t source) {
    int i = 0;
    while (i < sources->count && sources->list[i] != source)
        i++;
    if (i == sources->count)
        sources->list[sources->count++] = source;
    sources->from[lane] = i;
}

/* Lanes that lie beyond a block of the pictures take no part. */
static int lanes_used(const CvmMix *mix, int lanes) {
    return lanes < mix->lanes ? lanes : (int)mix->lanes;
}

/* Where channel number `channel` of the run is. */
static LLVMValueRef address_of(CvmEmitter *emitter, const CvmMix *mix, LLVMValueRef base,
                               LLVMValueRef channel) {
    LLVMValueRef lanes = cvm_i64(emitter, mix->lanes);
    LLVMValueRef block = LLVMBuildUDiv(emitter->builder, channel, lanes, "");
    LLVMValueRef inside = LLVMBuildURem(emitter->builder, channel, lanes, "");
    return cvm_advance(emitter, base,
                       cvm_sum(emitter, cvm_scale(emitter, block, mix->block), inside));
}

/* Of each source, a group, the channel number input + inside. */
static LLVMValueRef blend(CvmEmitter *emitter, const CvmMix *mix, LLVMValueRef base,
                          const Sources *groups, int lanes, LLVMValueRef input, int64_t inside) {
    LLVMValueRef elements[MAX_LANES];
    CvmLanes all = cvm_lanes_first(lanes, lanes);
    int from[MAX_LANES];
    for (int i = 0; i < groups->count; i++) {
        LLVMValueRef first =
            cvm_sum(emitter, input, cvm_i64(emitter, groups->list[i] * mix->inputs));
        LLVMValueRef at = address_of(emitter, mix, base, first);
        elements[i] =
            cvm_load(emitter, cvm_advance(emitter, at, cvm_i64(emitter, inside)), 0, &all, 0);
    }
    if (groups->count == 1)
        return elements[0];
    for (int lane = 0; lane < lanes; lane++)
        from[lane] = lane < lanes_used(mix, lanes) ? groups->from[lane] * lanes + lane : -1;
    return cvm_emit_pick(emitter, elements, groups->count, lanes, from);
}

/* Lanes out of the vectors that hold the channels; sources: numbers of these. */
static LLVMValueRef spread(CvmEmitter *emitter, const CvmMix *mix, LLVMValueRef base,
                           const Sources *vectors, int lanes, const int64_t *channels) {
    int used = lanes_used(mix, lanes), from[MAX_LANES];
    LLVMValueRef loaded[MAX_LANES];
    CvmLanes whole = cvm_lanes_first(lanes, used);
    bool as_it_is = vectors->count == 1;
    for (int i = 0; i < vectors->count; i++) {
        LLVMValueRef first = cvm_i64(emitter, vectors->list[i] * used);
        loaded[i] = cvm_load(emitter, address_of(emitter, mix, base, first), 1, &whole, 0);
    }
    for (int lane = 0; lane < lanes; lane++) {
        from[lane] = lane < used ? vectors->from[lane] * lanes + (int)(channels[lane] % used) : -1;
        as_it_is &= lane >= used || from[lane] == lane;
    }
    return as_it_is ? loaded[0] : cvm_emit_pick(emitter, loaded, vectors->count, lanes, from);
}

LLVMValueRef cvm_emit_mixed(CvmEmitter *emitter, const CvmMix *mix, LLVMValueRef base,
                            int64_t output, int lanes, LLVMValueRef input, int64_t inside) {
    Sources groups = {.count = 0}, vectors = {.count = 0};
    int64_t channels[MAX_LANES];
    bool known = LLVMIsAConstantInt(input);
    int64_t number = (known ? LLVMConstIntGetSExtValue(input) : 0) + inside;
    for (int lane = 0; lane < lanes_used(mix, lanes); lane++) {
        int64_t group = (output + lane) / mix->outputs;
        channels[lane] = group * mix->inputs + number;
        add_source(&groups, lane, group);
        add_source(&vectors, lane, channels[lane] / lanes_used(mix, lanes));
    }
    return known && vectors.count < groups.count
               ? spread(emitter, mix, base, &vectors, lanes, channels)
               : blend(emitter, mix, base, &groups, lanes, input, inside);
}
