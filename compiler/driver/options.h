/* The command line as data: one table of options (options.c), and for each command the set of those
 * it takes. A command reads its answers from one struct. */
#ifndef CVM_DRIVER_OPTIONS_H
#define CVM_DRIVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One bit an option; a command's set is their sum. */
enum {
    CVM_OPTION_HELP = 1 << 0,
    CVM_OPTION_VERBOSE = 1 << 1,
    CVM_OPTION_JSON = 1 << 2,
    CVM_OPTION_TRAIN = 1 << 3,
    CVM_OPTION_MODEL = 1 << 4,
    CVM_OPTION_CHECKPOINT = 1 << 5,
    CVM_OPTION_OUTPUT = 1 << 6,
    CVM_OPTION_RESUME = 1 << 7,
    CVM_OPTION_EPOCHS = 1 << 8,
    CVM_OPTION_STOP_AFTER = 1 << 9,
    CVM_OPTION_SEED = 1 << 10,
    CVM_OPTION_THREADS = 1 << 11,
    CVM_OPTION_DATA = 1 << 12,
    CVM_OPTION_PASSES = 1 << 13,
    CVM_OPTION_CPU = 1 << 14,
    CVM_OPTION_NO_CACHE = 1 << 15,
    CVM_OPTION_STAGE = 1 << 16,
    CVM_OPTION_FORWARD = 1 << 17,
    CVM_OPTION_BATCH = 1 << 18,
    CVM_OPTION_DOT = 1 << 19,
    CVM_OPTION_COUNT = 1 << 20,
    CVM_OPTION_WRONG = 1 << 21,
    CVM_OPTION_PNG = 1 << 22,
    CVM_OPTION_ASCII = 1 << 23,
    CVM_OPTION_WEIGHTS = 1 << 24,
    CVM_OPTION_NAMES = 1 << 25,

    /* what every command that compiles takes */
    CVM_OPTIONS_COMPILE = CVM_OPTION_PASSES | CVM_OPTION_CPU | CVM_OPTION_NO_CACHE,
    CVM_OPTIONS_ALWAYS = CVM_OPTION_HELP | CVM_OPTION_VERBOSE,
};

typedef struct CvmOptions {
    unsigned given; /* bits of the options that were written */

    const char *const *arguments; /* what is not an option, in order */
    int argument_count;

    bool help, verbose, json, resume, no_cache, forward, dot, wrong, ascii;
    const char *train, *model, *checkpoint, *output, *data, *passes, *cpu, *stage, *png, *weights,
        *names;
    int64_t epochs, stop_after, threads, batch, count; /* 0: not given */
    uint64_t seed;                                     /* where given & CVM_OPTION_SEED */
} CvmOptions;

/* Parses argv[0..argc) (after the command's name) for a command that takes the options in
 * `allowed`. argv is reordered. On a mistake prints one line to stderr, with the nearest name for
 * an unknown option, and returns false: exit code 2. */
bool cvm_options_parse(const char *command, unsigned allowed, int argc, char **argv,
                       CvmOptions *options);

/* One line for each option in `allowed`. */
void cvm_options_print_help(unsigned allowed, FILE *stream);

#endif
