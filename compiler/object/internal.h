/* What the files of this folder share. */
#ifndef CVM_OBJECT_INTERNAL_H
#define CVM_OBJECT_INTERNAL_H

#include "compiler/codegen/module.h"
#include "compiler/object/object.h"

/* A piece of text or code that cvmc carries (embedded.c). */
typedef struct CvmEmbedded {
    const char *bytes;
    size_t size;
} CvmEmbedded;

CvmEmbedded cvm_embedded_runtime(void); /* a relocatable object */
/* runtime/net/net.h and train.h, which end with a zero */
CvmEmbedded cvm_embedded_header(void);
CvmEmbedded cvm_embedded_training_header(void);

/* Names of the exported functions without prefix: "open", "run". */
const char *const *cvm_object_functions(const CvmObject *object, int *count);

/* The description and the exported functions (describe.c); with_kernels: and all of the code, in
 * one module, whose kernels then are its own. NULL when LLVM refuses (reported). */
LLVMMemoryBufferRef cvm_object_module(const CvmObject *object, bool with_kernels, CvmCodeForm form,
                                      CvmArena *arena, CvmDiag *diag);

/* The header's text (header.c). */
char *cvm_object_header(const CvmObject *object, CvmObjectForm form, CvmArena *arena);

/* Links (linker.c) `inputs` to the shared object `output`, exporting prefix_FUNCTION alone. */
typedef struct CvmLinking {
    const char *folder; /* for files on the way */
    const char *const *inputs;
    int input_count;
    const char *output, *name; /* its name for other programs: "lenet5.so" */
    const char *prefix;
    const char *const *functions;
    int function_count;
    bool blas; /* it calls OpenBLAS */
    bool symbols;
} CvmLinking;
bool cvm_object_link(const CvmLinking *linking, CvmArena *arena, CvmDiag *diag);

/* Makes the archive `output` of two objects, in which the functions alone are seen from outside. */
bool cvm_object_archive(const CvmLinking *linking, CvmArena *arena, CvmDiag *diag);

/* Writes bytes to a file of the folder; its path, or NULL (reported). */
const char *cvm_object_put(const char *folder, const char *name, const void *bytes, size_t size,
                           CvmArena *arena, CvmDiag *diag);

/* Reports a failure that is the machine's. Always false. */
bool cvm_object_fail(CvmDiag *diag, int code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
