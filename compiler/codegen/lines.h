/* Line information (DWARF): from an instruction to the line of the .cvm file that asked for it. */
#ifndef CVM_CODEGEN_LINES_H
#define CVM_CODEGEN_LINES_H

#include "compiler/codegen/emitter.h"

/* Every instruction that the builder makes from now on is of the place that the kernel comes from
 * (kernel->place); nothing happens where it has none. A layer in a block is inlined into the line
 * that uses the block, and so on outwards: debuggers show that chain. */
void cvm_lines_begin(CvmEmitter *emitter);
/* Before the module is verified. */
void cvm_lines_end(CvmEmitter *emitter);

/* Writes all that the line information depends on. */
void cvm_lines_print(const CvmOrigin *place, FILE *stream);

#endif
