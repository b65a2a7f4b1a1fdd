/* The command line as data: one table of options (options.c), and for each command the set of those
 * it takes. A command reads its answers from one struct. */
#ifndef CVM_DRIVER_OPTIONS_H
#define CVM_DRIVER_OPTIONS_H

#include "compiler/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One bit an option, in a row, so that no two share one; a command's set is their sum. */
__extension__ typedef unsigned __int128 CvmOptionSet;
#define CVM_OPTION_HELP (UINT64_C(1) << 0)
#define CVM_OPTION_VERBOSE (UINT64_C(1) << 1)
#define CVM_OPTION_JSON (UINT64_C(1) << 2)
#define CVM_OPTION_TRAIN (UINT64_C(1) << 3)
#define CVM_OPTION_MODEL (UINT64_C(1) << 4)
#define CVM_OPTION_CHECKPOINT (UINT64_C(1) << 5)
#define CVM_OPTION_OUTPUT (UINT64_C(1) << 6)
#define CVM_OPTION_RESUME (UINT64_C(1) << 7)
#define CVM_OPTION_EPOCHS (UINT64_C(1) << 8)
#define CVM_OPTION_STOP_AFTER (UINT64_C(1) << 9)
#define CVM_OPTION_SEED (UINT64_C(1) << 10)
#define CVM_OPTION_THREADS (UINT64_C(1) << 11)
#define CVM_OPTION_DATA (UINT64_C(1) << 12)
#define CVM_OPTION_PASSES (UINT64_C(1) << 13)
#define CVM_OPTION_CPU (UINT64_C(1) << 14)
#define CVM_OPTION_NO_CACHE (UINT64_C(1) << 15)
#define CVM_OPTION_STAGE (UINT64_C(1) << 16)
#define CVM_OPTION_FORWARD (UINT64_C(1) << 17)
#define CVM_OPTION_BATCH (UINT64_C(1) << 18)
#define CVM_OPTION_DOT (UINT64_C(1) << 19)
#define CVM_OPTION_COUNT (UINT64_C(1) << 20)
#define CVM_OPTION_WRONG (UINT64_C(1) << 21)
#define CVM_OPTION_PNG (UINT64_C(1) << 22)
#define CVM_OPTION_ASCII (UINT64_C(1) << 23)
#define CVM_OPTION_WEIGHTS (UINT64_C(1) << 24)
#define CVM_OPTION_NAMES (UINT64_C(1) << 25)
#define CVM_OPTION_ONNX (UINT64_C(1) << 26)
#define CVM_OPTION_TRAINING (UINT64_C(1) << 27)
#define CVM_OPTION_REPEAT (UINT64_C(1) << 28)
#define CVM_OPTION_SECONDS (UINT64_C(1) << 29)
#define CVM_OPTION_TRACE (UINT64_C(1) << 30)
#define CVM_OPTION_LOGITS (UINT64_C(1) << 31)
#define CVM_OPTION_TOP (UINT64_C(1) << 32)
#define CVM_OPTION_CSV (UINT64_C(1) << 33)
#define CVM_OPTION_CACHE_SIZE (UINT64_C(1) << 34)
#define CVM_OPTION_CACHE_FILE (UINT64_C(1) << 35)
#define CVM_OPTION_LIST (UINT64_C(1) << 36)
#define CVM_OPTION_REPORT (UINT64_C(1) << 37)
#define CVM_OPTION_CONFUSION (UINT64_C(1) << 38)
#define CVM_OPTION_PASS_LIMIT (UINT64_C(1) << 39)
#define CVM_OPTION_FUSION (UINT64_C(1) << 40)
#define CVM_OPTION_A (UINT64_C(1) << 41)
#define CVM_OPTION_B (UINT64_C(1) << 42)
#define CVM_OPTION_EACH (UINT64_C(1) << 43)
#define CVM_OPTION_INTERVAL (UINT64_C(1) << 44)
#define CVM_OPTION_TIME (UINT64_C(1) << 45)
#define CVM_OPTION_BAD (UINT64_C(1) << 46)
#define CVM_OPTION_CONV (UINT64_C(1) << 47)
#define CVM_OPTION_KERNELS (UINT64_C(1) << 48)
#define CVM_OPTION_HTML (UINT64_C(1) << 49)
#define CVM_OPTION_TOLERANCE (UINT64_C(1) << 50)
#define CVM_OPTION_SVG (UINT64_C(1) << 51)
#define CVM_OPTION_BEFORE_AFTER (UINT64_C(1) << 52)
#define CVM_OPTION_MEMORY (UINT64_C(1) << 53)
#define CVM_OPTION_EMBED (UINT64_C(1) << 54)
#define CVM_OPTION_EMIT (UINT64_C(1) << 55)
#define CVM_OPTION_DEBUG (UINT64_C(1) << 56)
#define CVM_OPTION_TRAINABLE (UINT64_C(1) << 57)
#define CVM_OPTION_CPUS (UINT64_C(1) << 58)
#define CVM_OPTION_PRECISION (UINT64_C(1) << 59)
#define CVM_OPTION_PACKED (UINT64_C(1) << 60)
#define CVM_OPTION_RAW (UINT64_C(1) << 61)
#define CVM_OPTION_BLAS (UINT64_C(1) << 62)
#define CVM_OPTION_TUNE (UINT64_C(1) << 63)
#define CVM_OPTION_NO_TUNING ((CvmOptionSet)1 << 64)
#define CVM_OPTION_CHECK ((CvmOptionSet)1 << 65)
#define CVM_OPTION_STDOUT ((CvmOptionSet)1 << 66)
#define CVM_OPTION_DIFF ((CvmOptionSet)1 << 67)
#define CVM_OPTION_AUGMENTED ((CvmOptionSet)1 << 68)
#define CVM_OPTION_WITHIN ((CvmOptionSet)1 << 69)
#define CVM_OPTION_ERROR ((CvmOptionSet)1 << 70)

/* what every command that compiles takes */
#define CVM_OPTIONS_COMPILE                                                                        \
    (CVM_OPTION_PASSES | CVM_OPTION_PASS_LIMIT | CVM_OPTION_CONV | CVM_OPTION_PRECISION |          \
     CVM_OPTION_CPU | CVM_OPTION_NO_CACHE | CVM_OPTION_NO_TUNING | CVM_OPTION_MEMORY)
/* what decides, beside both sides' settings, what a trial compiles and runs */
#define CVM_OPTIONS_TRIAL                                                                          \
    (CVM_OPTION_TRAIN | CVM_OPTION_MODEL | CVM_OPTION_BATCH | CVM_OPTION_THREADS |                 \
     CVM_OPTION_SEED | CVM_OPTION_FORWARD | CVM_OPTION_CONV | CVM_OPTION_PRECISION |               \
     CVM_OPTION_CPU | CVM_OPTION_NO_CACHE | CVM_OPTION_NO_TUNING)
#define CVM_OPTIONS_ALWAYS (CVM_OPTION_HELP | CVM_OPTION_VERBOSE)

typedef struct CvmOptions {
    CvmOptionSet given; /* bits of the options that were written */

    const char *const *arguments; /* what is not an option, in order */
    int argument_count;

    bool help, verbose, json, csv, resume, no_cache, forward, dot, wrong, ascii, fusion, kernels,
        each, logits, svg, before_after, embed, debug, packed, raw, blas, tune, no_tuning, check,
        to_stdout, diff, augmented;
    const char *train, *model, *checkpoint, *output, *data, *passes, *cpu, *stage, *png, *weights,
        *names, *onnx, *trace, *pass_limit, *conv, *a, *b, *bad, *cache_file, *html, *emit, *list,
        *report, *confusion, *precision;
    int64_t memory;     /* bytes; 0: not given */
    int64_t cache_size; /* bytes; where given & CVM_OPTION_CACHE_SIZE */
    int64_t epochs, stop_after, threads, batch, count, top, repeat, seconds, interval,
        time;         /* 0: not given */
    double tolerance; /* where given & CVM_OPTION_TOLERANCE */
    uint64_t seed;    /* where given & CVM_OPTION_SEED */
} CvmOptions;

/* Parses argv[0..argc) (after the command's name) for a command that takes the options in
 * `allowed`. argv is reordered. On a mistake prints one line to stderr, with the nearest name for
 * an unknown option, and returns false: exit code 2. */
bool cvm_options_parse(const char *command, CvmOptionSet allowed, int argc, char **argv,
                       CvmOptions *options);

/* " --batch 8 --forward": those options of `which` that were given, as a shell takes them, each
 * with a space before it. In the arena. */
const char *cvm_options_text(const CvmOptions *options, CvmOptionSet which, CvmArena *arena);

/* The text as one word of a shell's command: in quotes always, or only where it needs them. In the
 * arena. */
const char *cvm_shell_quoted(const char *text, CvmArena *arena);
const char *cvm_shell_word(const char *text, CvmArena *arena);

/* One line for each option in `allowed`. */
void cvm_options_print_help(CvmOptionSet allowed, FILE *stream);

#endif
