/* See options.h. The table says for each option its name, what value it takes and where the value
 * goes; parsing and help both read it. */
#include "compiler/driver/options.h"

#include "compiler/driver/report.h"
#include "compiler/front/diag.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum ValueKind { FLAG, TEXT, NAME, COUNT, NUMBER, BYTES, REAL } ValueKind;

typedef struct Option {
    CvmOptionSet bit;
    const char *name;
    char letter; /* 0: none */
    /* NAME: a text that may be left out, and is only taken for one if it is an identifier; COUNT:
     * 1 … 2^31-1; NUMBER: 0 … 2^64-1; BYTES: 500M; REAL: 0 … 1e9 */
    ValueKind kind;
    const char *value; /* its name in the help */
    size_t offset;     /* of its member in CvmOptions */
    const char *help;
} Option;

#define MEMBER(name) offsetof(CvmOptions, name)

static const Option table[] = {
    {CVM_OPTION_TRAIN, "train", 0, TEXT, "NAME", MEMBER(train),
     "which train of the file, when it has several"},
    {CVM_OPTION_MODEL, "model", 0, TEXT, "NAME", MEMBER(model),
     "a model of the file, with its default arguments, instead of a train's"},
    {CVM_OPTION_CHECKPOINT, "checkpoint", 0, TEXT, "PATH", MEMBER(checkpoint),
     "the trained weights, a file that cvmc train wrote"},
    {CVM_OPTION_RAW, "raw", 0, FLAG, NULL, MEMBER(raw),
     "of a checkpoint with averaged weights, the weights themselves"},
    {CVM_OPTION_WEIGHTS, "weights", 0, TEXT, "PATH", MEMBER(weights),
     "parameters from any safetensors file, wherever it was trained"},
    {CVM_OPTION_NAMES, "names", 0, TEXT, "NAME", MEMBER(names),
     "the names block that tells what the weights file calls its tensors"},
    {CVM_OPTION_OUTPUT, "output", 'o', TEXT, "PATH", MEMBER(output),
     "where the result goes (default: the file's stem with the result's ending, here)"},
    {CVM_OPTION_RESUME, "resume", 0, FLAG, NULL, MEMBER(resume),
     "go on from the checkpoint, to the same bits as without a break"},
    {CVM_OPTION_EPOCHS, "epochs", 0, COUNT, "N", MEMBER(epochs), "instead of the file's epochs"},
    {CVM_OPTION_STOP_AFTER, "stop-after", 0, COUNT, "N", MEMBER(stop_after),
     "end after this epoch of them; --resume does the rest later"},
    {CVM_OPTION_SEED, "seed", 0, NUMBER, "N", MEMBER(seed), "instead of the file's seed"},
    {CVM_OPTION_DATA, "data", 0, TEXT, "DIR", MEMBER(data),
     "look for data sets here only (default: $CVM_DATA, the system's, beside FILE)"},
    {CVM_OPTION_THREADS, "threads", 0, COUNT, "N", MEMBER(threads),
     "default: $CVM_THREADS, else one per core; the results are the same"},
    {CVM_OPTION_STAGE, "stage", 0, TEXT, "STAGE", MEMBER(stage),
     "ast, graph, fused, kernels, plan, llvm or asm"},
    {CVM_OPTION_FORWARD, "forward", 0, FLAG, NULL, MEMBER(forward),
     "the inference graph, though the file has a train"},
    {CVM_OPTION_TRAINING, "train", 0, NAME, "[NAME]", MEMBER(train),
     "the training step instead of the inference (of NAME, when the file has several)"},
    {CVM_OPTION_BATCH, "batch", 0, COUNT, "N", MEMBER(batch),
     "pictures at once (default: the train's batch, or 1; of predict: 8, or 1 if there are fewer)"},
    {CVM_OPTION_LIST, "list", 0, TEXT, "FILE", MEMBER(list),
     "more pictures and folders, one a line of this file; - for stdin"},
    {CVM_OPTION_A, "a", 0, TEXT, "SETTINGS", MEMBER(a),
     "one side: passes=LIST limit=NAME=N conv=WAY precision=P tune=on|off threads=N "
     "cpu=NAME batch=N mode=forward|train"},
    {CVM_OPTION_B, "b", 0, TEXT, "SETTINGS", MEMBER(b), "the other"},
    {CVM_OPTION_BAD, "bad", 0, TEXT, "COMMAND", MEMBER(bad),
     "fails when the model is compiled badly; {} stands for the options to try"},
    {CVM_OPTION_EACH, "each", 0, FLAG, NULL, MEMBER(each),
     "all passes against all but one, for each of them"},
    {CVM_OPTION_INTERVAL, "interval", 0, COUNT, "N", MEMBER(interval),
     "end when the ratio is known to N thousandths (default: 10)"},
    {CVM_OPTION_TIME, "time", 0, COUNT, "N", MEMBER(time),
     "end a trial after N seconds in any case (default: 20)"},
    {CVM_OPTION_HTML, "html", 0, TEXT, "PATH", MEMBER(html),
     "write a page with all of it, too: tables, samples and both graphs"},
    {CVM_OPTION_TOLERANCE, "tolerance", 0, REAL, "X", MEMBER(tolerance),
     "how far results may be from those of the other side, or without passes (default: 0.001)"},
    {CVM_OPTION_FUSION, "fusion", 0, FLAG, NULL, MEMBER(fusion),
     "what was fused, by line of the source, and why the rest was not"},
    {CVM_OPTION_KERNELS, "kernels", 0, FLAG, NULL, MEMBER(kernels),
     "each kernel's algorithm, how it is cut, the time expected, and why"},
    {CVM_OPTION_DOT, "dot", 0, FLAG, NULL, MEMBER(dot), "as a Graphviz drawing"},
    {CVM_OPTION_SVG, "svg", 0, FLAG, NULL, MEMBER(svg), "as an SVG picture, by Graphviz"},
    {CVM_OPTION_BEFORE_AFTER, "before-after", 0, FLAG, NULL, MEMBER(before_after),
     "draw the graphs before and after the passes side by side"},
    {CVM_OPTION_COUNT, "count", 0, COUNT, "N", MEMBER(count),
     "how many pictures (default: 10; 5 with --augmented)"},
    {CVM_OPTION_TOP, "top", 0, COUNT, "N", MEMBER(top),
     "how many classes to tell of each picture, at most 100 (default: 5)"},
    {CVM_OPTION_CSV, "csv", 0, FLAG, NULL, MEMBER(csv), "results as CSV, one line a picture"},
    {CVM_OPTION_WRONG, "wrong", 0, FLAG, NULL, MEMBER(wrong),
     "only pictures it takes for another class"},
    {CVM_OPTION_AUGMENTED, "augmented", 0, FLAG, NULL, MEMBER(augmented),
     "pictures to learn from, as the train's augment varies them from epoch to epoch"},
    {CVM_OPTION_PNG, "png", 0, TEXT, "PATH", MEMBER(png), "write them as one picture, too"},
    {CVM_OPTION_ASCII, "ascii", 0, FLAG, NULL, MEMBER(ascii),
     "draw with letters (default: when the output is no terminal)"},
    {CVM_OPTION_SECONDS, "seconds", 0, COUNT, "N", MEMBER(seconds),
     "how long to measure (default: 3)"},
    {CVM_OPTION_WITHIN, "seconds", 0, COUNT, "N", MEMBER(seconds),
     "end after about so long, and tell what was left out (default: 120)"},
    {CVM_OPTION_ERROR, "tolerance", 0, REAL, "X", MEMBER(tolerance),
     "how far an element may be from its reference, as a share of it and of the tensor's norm "
     "(default: 0.0001)"},
    {CVM_OPTION_REPEAT, "repeat", 0, COUNT, "N", MEMBER(repeat),
     "measure so many runs instead, however long they take"},
    {CVM_OPTION_TRACE, "trace", 0, TEXT, "PATH", MEMBER(trace),
     "write one run as a trace, for ui.perfetto.dev or chrome://tracing"},
    {CVM_OPTION_LOGITS, "logits", 0, FLAG, NULL, MEMBER(logits),
     "the logits beside the probabilities; with --json those of every class"},
    {CVM_OPTION_CACHE_SIZE, "cache-size", 0, BYTES, "BYTES", MEMBER(cache_size),
     "most that features of frozen layers may take, as 500M or 2G (default: 1G; 0: keep none)"},
    {CVM_OPTION_CACHE_FILE, "cache-file", 0, TEXT, "PATH", MEMBER(cache_file),
     "keep those features in this file, for later runs too"},
    {CVM_OPTION_REPORT, "report", 0, TEXT, "PATH.html", MEMBER(report),
     "write a page: curves, accuracy of each class, confusion matrix, the file itself"},
    {CVM_OPTION_CONFUSION, "confusion", 0, TEXT, "PATH", MEMBER(confusion),
     "what was taken for what: PATH.csv, PATH.svg, else text; - for stdout"},
    {CVM_OPTION_PASSES, "passes", 0, TEXT, "LIST", MEMBER(passes),
     "default, none, or changes to it: -fuse-pointwise,+cse"},
    {CVM_OPTION_PASS_LIMIT, "pass-limit", 0, TEXT, "NAME=N", MEMBER(pass_limit),
     "only the first N applications of a pass; several with commas between"},
    {CVM_OPTION_CONV, "conv", 0, TEXT, "WAY", MEMBER(conv),
     "how 3x3, 5x5 and 7x7 convolutions are computed: auto (default), direct or winograd"},
    {CVM_OPTION_PRECISION, "precision", 0, TEXT, "P", MEMBER(precision),
     "numbers of linear layers: f32 (default), bf16-weights (half the memory) or bf16"},
    {CVM_OPTION_MEMORY, "memory", 0, BYTES, "BYTES", MEMBER(memory),
     "most that a step may take beside its parameters, as 500M or 2G: recomputes what it must"},
    {CVM_OPTION_CPU, "cpu", 0, TEXT, "NAME", MEMBER(cpu),
     "compile for this CPU: host (default), x86-64, x86-64-v2, x86-64-v3, x86-64-v4"},
    {CVM_OPTION_CPUS, "cpu", 0, TEXT, "NAMES", MEMBER(cpu),
     "native (default), x86-64-v3, ...; several with commas between: the best that runs is taken"},
    {CVM_OPTION_TRAINABLE, "train", 0, NAME, "[NAME]", MEMBER(train),
     "also functions that train it, as the file's train says (NAME, when it has several)"},
    {CVM_OPTION_EMBED, "embed-weights", 0, FLAG, NULL, MEMBER(embed),
     "put the weights into the object, which then needs no file"},
    {CVM_OPTION_PACKED, "packed", 0, FLAG, NULL, MEMBER(packed),
     "keep what is made of the weights beside them, in PATH.packed, for later programs"},
    {CVM_OPTION_BLAS, "blas", 0, FLAG, NULL, MEMBER(blas),
     "large linear layers of 64 pictures and more by OpenBLAS, which the object then needs"},
    {CVM_OPTION_EMIT, "emit", 0, TEXT, "FORM", MEMBER(emit),
     "so (default), static, obj, asm or llvm"},
    {CVM_OPTION_DEBUG, "debug", 'g', FLAG, NULL, MEMBER(debug),
     "keep names and lines of the .cvm file, for debuggers and profilers"},
    {CVM_OPTION_NO_CACHE, "no-cache", 0, FLAG, NULL, MEMBER(no_cache),
     "neither read nor write compiled kernels in the user's cache"},
    {CVM_OPTION_TUNE, "tune", 0, FLAG, NULL, MEMBER(tune),
     "measure how each kernel is best made here, for later compilations (default: 60 seconds)"},
    {CVM_OPTION_NO_TUNING, "no-tune", 0, FLAG, NULL, MEMBER(no_tuning),
     "do not go by what bench --tune has measured"},
    {CVM_OPTION_ONNX, "onnx", 0, TEXT, "PATH", MEMBER(onnx), "the ONNX file to write"},
    {CVM_OPTION_CHECK, "check", 0, FLAG, NULL, MEMBER(check),
     "write nothing; name the files that are not formatted, and exit with 1 if there are any"},
    {CVM_OPTION_DIFF, "diff", 0, FLAG, NULL, MEMBER(diff),
     "print what would change, as diff -u does, and leave the files as they are"},
    {CVM_OPTION_STDOUT, "stdout", 0, FLAG, NULL, MEMBER(to_stdout),
     "print the formatted text, and leave the files as they are"},
    {CVM_OPTION_JSON, "json", 0, FLAG, NULL, MEMBER(json), "results as JSON"},
    {CVM_OPTION_VERBOSE, "verbose", 'v', FLAG, NULL, MEMBER(verbose), "say more, on stderr"},
    {CVM_OPTION_HELP, "help", 'h', FLAG, NULL, MEMBER(help), "this text"},
};
enum { OPTION_COUNT = sizeof table / sizeof *table };

static const Option *find_long(const char *name, size_t length, CvmOptionSet allowed) {
    for (int i = 0; i < OPTION_COUNT; i++)
        if (table[i].bit & allowed && strlen(table[i].name) == length &&
            strncmp(table[i].name, name, length) == 0)
            return &table[i];
    return NULL;
}

static const Option *find_letter(char letter, CvmOptionSet allowed) {
    for (int i = 0; i < OPTION_COUNT; i++)
        if (table[i].bit & allowed && table[i].letter == letter)
            return &table[i];
    return NULL;
}

/* Of an option nobody knows, or that another command takes. */
static bool report_unknown(const char *command, CvmOptionSet allowed, const char *name,
                           size_t length) {
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    const char *names[OPTION_COUNT];
    int count = 0;
    for (int i = 0; i < OPTION_COUNT; i++)
        if (table[i].bit & allowed)
            names[count++] = table[i].name;
    const char *nearest = cvm_nearest_name(text, names, count);
    if (nearest)
        cvm_report_error("%s has no option --%s; did you mean --%s?", command, text, nearest);
    else
        cvm_report_error("%s has no option --%s; cvmc %s --help lists them", command, text,
                         command);
    return false;
}

static bool parse_number(const Option *option, const char *text, uint64_t most, uint64_t *number) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    uint64_t least = option->kind == COUNT ? 1 : 0;
    if (text[0] < '0' || text[0] > '9' || *end || errno || value < least || value > most) {
        cvm_report_error("--%s needs a whole number from %llu to %llu, and '%s' is none",
                         option->name, (unsigned long long)least, (unsigned long long)most, text);
        return false;
    }
    *number = value;
    return true;
}

/* 1000s, as disks and memory are sold and as messages tell sizes. */
static bool parse_bytes(const Option *option, const char *text, int64_t *bytes) {
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    for (long power = unit ? unit - units : -1; power >= 0; power--)
        value *= 1000;
    if (text[0] < '0' || text[0] > '9' || errno || end[unit != NULL] || !(value < 1e15)) {
        cvm_report_error("--%s needs a number of bytes such as 0, 500M or 2G, and '%s' is none",
                         option->name, text);
        return false;
    }
    *bytes = (int64_t)value;
    return true;
}

static bool parse_real(const Option *option, const char *text, double *number) {
    char *end;
    double value = strtod(text, &end);
    bool numeric = (text[0] >= '0' && text[0] <= '9') || text[0] == '.';
    if (!numeric || *end || !(value >= 0 && value <= 1e9)) {
        cvm_report_error("--%s needs a number from 0 to 1e9, and '%s' is none", option->name, text);
        return false;
    }
    *number = value;
    return true;
}

static bool store_value(const Option *option, const char *value, CvmOptions *options) {
    void *member = (char *)options + option->offset;
    if (options->given & option->bit) {
        cvm_report_error("--%s is given twice", option->name);
        return false;
    }
    options->given |= option->bit;
    uint64_t number;
    switch (option->kind) {
    case FLAG:
        *(bool *)member = true;
        return true;
    case TEXT:
    case NAME:
        *(const char **)member = value;
        return true;
    case COUNT:
        if (!parse_number(option, value, INT_MAX, &number))
            return false;
        *(int64_t *)member = (int64_t)number;
        return true;
    case NUMBER:
        if (!parse_number(option, value, UINT64_MAX, &number))
            return false;
        *(uint64_t *)member = number;
        return true;
    case BYTES:
        return parse_bytes(option, value, (int64_t *)member);
    case REAL:
        return parse_real(option, value, member);
    }
    return false;
}

static bool is_identifier(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    while (isalnum((unsigned char)*text) || *text == '_')
        text++;
    return !*text;
}

/* The value of argv[*index]: after its '=', or the next argument. */
static bool take_value(const Option *option, const char *attached, int argc, char **argv,
                       int *index, const char **value) {
    *value = attached;
    if (option->kind == FLAG && attached) {
        cvm_report_error("--%s takes no value", option->name);
        return false;
    }
    if (option->kind == FLAG || attached)
        return true;
    if (option->kind == NAME && (*index + 1 >= argc || !is_identifier(argv[*index + 1])))
        return true;
    if (*index + 1 >= argc) {
        cvm_report_error("--%s needs a value: --%s %s", option->name, option->name, option->value);
        return false;
    }
    *value = argv[++*index];
    return true;
}

bool cvm_options_parse(const char *command, CvmOptionSet allowed, int argc, char **argv,
                       CvmOptions *options) {
    *options = (CvmOptions){.arguments = (const char *const *)argv};
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        char *text = argv[i];
        if (only_arguments || text[0] != '-' || !text[1]) {
            argv[options->argument_count++] = text;
            continue;
        }
        if (strcmp(text, "--") == 0) {
            only_arguments = true;
            continue;
        }
        const Option *option;
        const char *attached = NULL;
        if (text[1] == '-') {
            size_t length = strcspn(text + 2, "=");
            option = find_long(text + 2, length, allowed);
            if (!option)
                return report_unknown(command, allowed, text + 2, length);
            attached = text[2 + length] ? text + 3 + length : NULL;
        } else {
            option = find_letter(text[1], allowed);
            if (!option || (option->kind == FLAG && text[2])) {
                cvm_report_error("%s has no option %s; cvmc %s --help lists them", command, text,
                                 command);
                return false;
            }
            attached = text[2] ? text + 2 : NULL;
        }
        const char *value;
        if (!take_value(option, attached, argc, argv, &i, &value) ||
            !store_value(option, value, options))
            return false;
    }
    return true;
}

const char *cvm_shell_quoted(const char *text, CvmArena *arena) {
    const char *out = "'";
    for (const char *quote; (quote = strchr(text, '\'')); text = quote + 1)
        out = cvm_arena_format(arena, "%s%.*s'\\''", out, (int)(quote - text), text);
    return cvm_arena_format(arena, "%s%s'", out, text);
}

const char *cvm_shell_word(const char *text, CvmArena *arena) {
    bool plain = *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_./-")];
    return plain ? text : cvm_shell_quoted(text, arena);
}

/* NULL: it has none. */
static const char *value_text(const Option *option, const CvmOptions *options, CvmArena *arena) {
    const void *member = (const char *)options + option->offset;
    const char *text;
    switch (option->kind) {
    case FLAG:
        return NULL;
    case TEXT:
    case NAME:
        text = *(const char *const *)member;
        return text ? cvm_shell_word(text, arena) : NULL;
    case NUMBER:
        return cvm_arena_format(arena, "%" PRIu64, *(const uint64_t *)member);
    case REAL:
        return cvm_arena_format(arena, "%.15g", *(const double *)member);
    default:
        return cvm_arena_format(arena, "%" PRId64, *(const int64_t *)member);
    }
}

const char *cvm_options_text(const CvmOptions *options, CvmOptionSet which, CvmArena *arena) {
    const char *text = "";
    for (int i = 0; i < OPTION_COUNT; i++) {
        const Option *option = &table[i];
        if (!(option->bit & which & options->given))
            continue;
        text = cvm_arena_format(arena, "%s --%s", text, option->name);
        const char *value = value_text(option, options, arena);
        if (value)
            text = cvm_arena_format(arena, "%s %s", text, value);
    }
    return text;
}

void cvm_options_print_help(CvmOptionSet allowed, FILE *stream) {
    for (int i = 0; i < OPTION_COUNT; i++) {
        const Option *option = &table[i];
        if (!(option->bit & allowed))
            continue;
        char left[64];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", option->letter ? '-' : ' ',
                 option->letter ? option->letter : ' ', option->letter ? "," : " ", option->name,
                 option->value ? " " : "", option->value ? option->value : "");
        fprintf(stream, "  %-24s %s\n", left, option->help);
    }
}
