/* See json.h. A first look over the text bounds what parsing may cost: depth, and the number of
 * values, which are all allocated at once together with room for every string. */
#include "runtime/json.h"

#include <stdlib.h>
#include <string.h>

static const int64_t WHOLE_LIMIT = INT64_C(1) << 53;

typedef struct Parser {
    const char *at, *end;
    CvmJson *next_node;
    char *next_text;
} Parser;

static bool wrong(CvmError *error, const char *what, const char *how) {
    return cvm_error_set(error, CVM_ERROR_INPUT, "%s %s", what, how);
}

/* Counts a bound of the values; the text may still be no JSON. */
static bool scan(const char *text, int64_t size, int most_depth, int64_t most_values,
                 const char *what, int64_t *values, CvmError *error) {
    int64_t depth = 0;
    bool quoted = false;
    *values = 1;
    if (memchr(text, 0, (size_t)size) || memmem(text, (size_t)size, "\\u0000", 6))
        return wrong(error, what, "holds a zero character");
    for (int64_t i = 0; i < size; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == '{' || c == '[')
            depth++, ++*values;
        else if (c == '}' || c == ']')
            depth--;
        else if (c == ',')
            ++*values;
        if (depth > most_depth)
            return wrong(error, what, "is nested too deeply");
        if (*values > most_values)
            return wrong(error, what, "has too many values");
    }
    return true;
}

static void skip_space(Parser *parser) {
    while (parser->at < parser->end && strchr(" \t\r\n", *parser->at))
        parser->at++;
}

/* Takes the character if it comes next, after space. */
static bool take(Parser *parser, char wanted) {
    skip_space(parser);
    if (parser->at == parser->end || *parser->at != wanted)
        return false;
    parser->at++;
    return true;
}

/* --- strings --- */

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits behind "\u"; -1: there are none. */
static int32_t take_unit(Parser *parser) {
    int32_t unit = 0;
    if (parser->end - parser->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*parser->at++);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static void put(Parser *parser, uint32_t byte) {
    *parser->next_text++ = (char)byte;
}

static void put_utf8(Parser *parser, uint32_t code) {
    if (code < 0x80) {
        put(parser, code);
        return;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    put(parser, (0xF00u >> more & 0xFF) | code >> 6 * more);
    while (more-- > 0)
        put(parser, 0x80 | (code >> 6 * more & 0x3F));
}

/* Two units of UTF-16 make one character beyond the first 65,536. */
static bool take_unicode(Parser *parser) {
    int32_t unit = take_unit(parser);
    if (unit < 0xD800 || unit > 0xDFFF) {
        if (unit > 0)
            put_utf8(parser, (uint32_t)unit);
        return unit > 0;
    }
    if (unit > 0xDBFF || parser->end - parser->at < 2 || memcmp(parser->at, "\\u", 2) != 0)
        return false;
    parser->at += 2;
    int32_t low = take_unit(parser);
    if (low < 0xDC00 || low > 0xDFFF)
        return false;
    put_utf8(parser, 0x10000 + ((uint32_t)(unit - 0xD800) << 10 | (uint32_t)(low - 0xDC00)));
    return true;
}

static bool take_escape(Parser *parser) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (parser->at == parser->end)
        return false;
    char c = *parser->at++;
    if (c == 'u')
        return take_unicode(parser);
    const char *name = strchr(names, c);
    if (!name || !c)
        return false;
    put(parser, (unsigned char)values[name - names]);
    return true;
}

/* No longer than it is in the text, so that the room made for all strings is enough. */
static const char *take_string(Parser *parser) {
    const char *start = parser->next_text;
    if (!take(parser, '"'))
        return NULL;
    while (parser->at < parser->end && *parser->at != '"') {
        char c = *parser->at++;
        if ((unsigned char)c < 0x20)
            return NULL;
        if (c != '\\')
            put(parser, (unsigned char)c);
        else if (!take_escape(parser))
            return NULL;
    }
    if (!take(parser, '"'))
        return NULL;
    put(parser, 0);
    return start;
}

/* --- numbers and words --- */

static int64_t take_digits(Parser *parser) {
    int64_t count = 0;
    while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9')
        parser->at++, count++;
    return count;
}

static bool take_one_of(Parser *parser, const char *set) {
    if (parser->at == parser->end || !strchr(set, *parser->at))
        return false;
    parser->at++;
    return true;
}

static int64_t whole_of(const char *digits, int64_t count) {
    int64_t value = 0;
    for (int64_t i = 0; i < count; i++) {
        value = 10 * value + (digits[i] - '0');
        if (value >= WHOLE_LIMIT)
            return -1;
    }
    return value;
}

static bool take_number(Parser *parser, CvmJson *node) {
    bool plain = !take_one_of(parser, "-");
    const char *digits = parser->at;
    int64_t count = take_digits(parser);
    if (count == 0 || (count > 1 && digits[0] == '0'))
        return false;
    node->kind = CVM_JSON_NUMBER;
    node->whole = plain ? whole_of(digits, count) : -1;
    if (take_one_of(parser, ".")) {
        node->whole = -1;
        if (take_digits(parser) == 0)
            return false;
    }
    if (take_one_of(parser, "eE")) {
        node->whole = -1;
        take_one_of(parser, "+-");
        return take_digits(parser) > 0;
    }
    return true;
}

static bool take_word(Parser *parser, CvmJson *node) {
    static const char *const words[] = {"true", "false", "null"};
    node->kind = CVM_JSON_WORD;
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(parser->end - parser->at) < length ||
            memcmp(parser->at, words[i], length) != 0)
            continue;
        parser->at += length;
        return true;
    }
    return false;
}

/* --- values --- */

static CvmJson *take_value(Parser *parser);

static bool take_children(Parser *parser, CvmJson *node, char close) {
    CvmJson **place = &node->child;
    if (take(parser, close))
        return true;
    do {
        const char *key = NULL;
        if (close == '}' && (!(key = take_string(parser)) || !take(parser, ':')))
            return false;
        CvmJson *child = take_value(parser);
        if (!child)
            return false;
        child->key = key;
        *place = child;
        place = &child->next;
        node->count++;
    } while (take(parser, ','));
    return take(parser, close);
}

/* Recursion as deep as the text, which was looked at before. */
static CvmJson *take_value(Parser *parser) {
    CvmJson *node = parser->next_node++;
    bool done;
    skip_space(parser);
    if (parser->at == parser->end)
        return NULL;
    if (take(parser, '{')) {
        node->kind = CVM_JSON_OBJECT;
        done = take_children(parser, node, '}');
    } else if (take(parser, '[')) {
        node->kind = CVM_JSON_ARRAY;
        done = take_children(parser, node, ']');
    } else if (*parser->at == '"') {
        node->kind = CVM_JSON_STRING;
        done = (node->text = take_string(parser)) != NULL;
    } else if (*parser->at == '-' || (*parser->at >= '0' && *parser->at <= '9')) {
        done = take_number(parser, node);
    } else {
        done = take_word(parser, node);
    }
    return done ? node : NULL;
}

CvmJson *cvm_json_parse(const char *text, int64_t size, int depth, int64_t values, const char *what,
                        CvmError *error) {
    int64_t count;
    if (!scan(text, size, depth, values, what, &count, error))
        return NULL;
    CvmJson *nodes = calloc(1, (size_t)count * sizeof *nodes + (size_t)size + 1);
    if (!nodes) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for %s", what);
        return NULL;
    }
    Parser parser = {
        .at = text, .end = text + size, .next_node = nodes, .next_text = (char *)(nodes + count)};
    bool whole = take_value(&parser) != NULL;
    skip_space(&parser);
    if (whole && parser.at == parser.end)
        return nodes;
    free(nodes);
    wrong(error, what, "is not valid JSON");
    return NULL;
}
