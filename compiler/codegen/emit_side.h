/* What the generators of contractions use to emit their side sum (CvmSideSum): begin, add every
 * block of the batch, store. */
#ifndef CVM_CODEGEN_EMIT_SIDE_H
#define CVM_CODEGEN_EMIT_SIDE_H

#include "compiler/codegen/emitter.h"

enum {
    CVM_SIDE_SUMS = 4,
    CVM_MAX_SIDE_UNITS = 256
}; /* SUMS: of a unit, which do not wait for each
      other */

typedef struct CvmSide {
    CvmEmitter *emitter;
    LLVMValueRef channel; /* the first */
    int width, units;     /* lanes of a vector; a unit is a vector of channels, or one channel */
    LLVMValueRef sums[CVM_MAX_SIDE_UNITS * CVM_SIDE_SUMS]; /* stack slots */
} CvmSide;

/* The sums of `channels` neighbouring channels, cleared; in vectors of `width` lanes, of which the
 * channels are a multiple where they lie across. */
CvmSide cvm_side_begin(CvmEmitter *emitter, LLVMValueRef channel, int64_t channels, int width);
void cvm_side_add(CvmSide *side, LLVMValueRef block);
void cvm_side_add_all(CvmSide *side);
/* Applies the epilogue and stores. */
void cvm_side_store(CvmSide *side);

#endif
