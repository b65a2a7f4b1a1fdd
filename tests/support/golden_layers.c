/* See golden_layers.h. A bracket is read anew for each number behind it, so that it has no form of
 * its own. */
#include "tests/support/golden_layers.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Reader {
    CvmArena *arena;
    const char *text; /* the whole line, for messages */
    CvmGoldenLayer *layers;
    int count;
} Reader;

static int64_t read_number(const Reader *reader, const char **at) {
    if (!isdigit((unsigned char)**at))
        fail_msg("'%s': expected a number at '%s'", reader->text, *at);
    char *end;
    int64_t number = strtoll(*at, &end, 10);
    if (number > 1 << 20)
        fail_msg("'%s': %lld is too large", reader->text, (long long)number);
    *at = end;
    return number;
}

/* What the torch names are called in the table. */
static const char *table_name(const char *name) {
    return strcmp(name, "bn") ? name : "batchnorm";
}

static void read_options(const Reader *reader, const char **at, CvmGoldenLayer *layer) {
    while (isalpha((unsigned char)**at)) {
        char letter = *(*at)++;
        int64_t number = read_number(reader, at);
        switch (letter) {
        case 'k':
            layer->kernel[0] = layer->kernel[1] = number;
            break;
        case 's':
            layer->stride = number;
            break;
        case 'p':
            layer->pad = number;
            break;
        case 'g':
            layer->groups = number;
            break;
        case 'd':
            layer->dilation = number;
            break;
        default:
            fail_msg("'%s': unknown option '%c'", reader->text, letter);
        }
    }
}

/* The number behind the name: conv6 and linear10 count outputs, conv3x3 and maxpool3 a kernel. */
static void read_size(const Reader *reader, const char **at, CvmGoldenLayer *layer) {
    int64_t number = read_number(reader, at);
    bool pool = layer->op == CVM_OP_MAXPOOL || layer->op == CVM_OP_AVGPOOL;
    if (**at == 'x') {
        ++*at;
        layer->kernel[0] = number;
        layer->kernel[1] = read_number(reader, at);
    } else if (pool) {
        layer->kernel[0] = layer->kernel[1] = layer->stride = number;
    } else {
        layer->channels = number;
    }
}

/* One token; `channels` is the number of the bracket it stands in, or 0. */
static void read_layer(Reader *reader, const char *token, int64_t channels) {
    if (reader->count == CVM_GOLDEN_MAX_LAYERS)
        fail_msg("'%s': too many layers", reader->text);
    size_t letters = 0;
    while (isalpha((unsigned char)token[letters]) || token[letters] == '_')
        letters++;
    const char *at = token + letters;
    CvmGoldenLayer layer = {.stride = 1, .groups = 1, .dilation = 1};
    layer.name = table_name(cvm_arena_copy(reader->arena, token, letters));
    layer.op = cvm_op_find(layer.name);
    if (layer.op != CVM_OP_COUNT) { /* else its options are unknown too */
        if (*at)
            read_size(reader, &at, &layer);
        read_options(reader, &at, &layer);
        if (*at)
            fail_msg("'%s': cannot read '%s'", reader->text, token);
    }
    if (layer.op == CVM_OP_CONV && !layer.channels)
        layer.channels = channels;
    reader->layers[reader->count++] = layer;
}

static void read_layers(Reader *reader, const char *text, size_t length, int64_t channels) {
    char *rest = NULL, *copy = cvm_arena_copy(reader->arena, text, length);
    for (char *token = strtok_r(copy, " ", &rest); token; token = strtok_r(NULL, " ", &rest))
        read_layer(reader, token, channels);
}

/* "(…)x8,M,16": the bracket's layers for each number. Returns what follows. */
static const char *read_bracket(Reader *reader, const char *text) {
    const char *end = strchr(text, ')');
    if (!end || end[1] != 'x')
        fail_msg("'%s': expected (…)x8,16", reader->text);
    const char *at = end + 2;
    do {
        if (*at == 'M') {
            read_layer(reader, "maxpool2", 0);
            at++;
        } else {
            read_layers(reader, text, (size_t)(end - text), read_number(reader, &at));
        }
    } while (*at++ == ',');
    return at - 1;
}

int cvm_golden_layers(const char *text, CvmGoldenLayer *layers, CvmArena *arena) {
    Reader reader = {.arena = arena, .text = text, .layers = layers};
    while (*text) {
        if (*text == '(') {
            text = read_bracket(&reader, text + 1);
            continue;
        }
        size_t length = strcspn(text, "(");
        read_layers(&reader, text, length, 0);
        text += length;
    }
    return reader.count;
}
