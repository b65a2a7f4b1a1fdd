/* The runtime of compiled models, and the text of their header, as bytes inside of cvmc, so that it
 * needs no file beside it. The assembler copies them in; CMake names the files. */
#include "compiler/object/internal.h"

#define EMBED(name, path)                                                                          \
    __asm__(".section .rodata.cvm_embedded,\"a\"\n"                                                \
            ".balign 64\n"                                                                         \
            ".globl cvm_embedded_" name "_begin\n"                                                 \
            ".hidden cvm_embedded_" name "_begin\n"                                                \
            "cvm_embedded_" name "_begin:\n"                                                       \
            ".incbin \"" path "\"\n"                                                               \
            ".globl cvm_embedded_" name "_end\n"                                                   \
            ".hidden cvm_embedded_" name "_end\n"                                                  \
            "cvm_embedded_" name "_end:\n"                                                         \
            ".byte 0\n"                                                                            \
            ".text\n")

EMBED("runtime", CVM_EMBEDDED_RUNTIME);
EMBED("header", CVM_EMBEDDED_HEADERS "/net.h");
EMBED("training", CVM_EMBEDDED_HEADERS "/train.h");

extern const char cvm_embedded_runtime_begin[], cvm_embedded_runtime_end[];
extern const char cvm_embedded_header_begin[], cvm_embedded_header_end[];
extern const char cvm_embedded_training_begin[], cvm_embedded_training_end[];

CvmEmbedded cvm_embedded_runtime(void) {
    return (CvmEmbedded){cvm_embedded_runtime_begin,
                         (size_t)(cvm_embedded_runtime_end - cvm_embedded_runtime_begin)};
}

CvmEmbedded cvm_embedded_header(void) {
    return (CvmEmbedded){cvm_embedded_header_begin,
                         (size_t)(cvm_embedded_header_end - cvm_embedded_header_begin)};
}

CvmEmbedded cvm_embedded_training_header(void) {
    return (CvmEmbedded){cvm_embedded_training_begin,
                         (size_t)(cvm_embedded_training_end - cvm_embedded_training_begin)};
}
