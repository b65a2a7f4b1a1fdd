/* Reads the graph's text form (print.c writes it). The text may come from anybody: counts and ids
 * are bounded, every type is checked against its op's rule, and the verifier has the last word. */
#include "compiler/graph/layout.h"
#include "compiler/graph/op.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NODES = 1 << 20, MAX_OPERANDS = 64, MAX_LINES = 1 << 22 };

typedef struct Parser {
    CvmArena *arena;
    const CvmSource *source;
    CvmDiag *diag;
    size_t at;
    int line, column;
    CvmGraph *graph;
    CvmNode **by_id; /* of ids read so far */
    int id_capacity;
    int group; /* open group, or CVM_NO_GROUP */
    bool failed;
} Parser;

/* --- characters and words --- */

static char peek(const Parser *parser) {
    return parser->at < parser->source->length ? parser->source->text[parser->at] : 0;
}

static void advance(Parser *parser) {
    if (parser->at >= parser->source->length)
        return;
    if (parser->source->text[parser->at++] == '\n') {
        parser->line++;
        parser->column = 1;
    } else {
        parser->column++;
    }
}

static void skip_space(Parser *parser) {
    while (parser->at < parser->source->length && isspace((unsigned char)peek(parser)))
        advance(parser);
}

static CvmSpan here(const Parser *parser) {
    return (CvmSpan){parser->source, parser->line, parser->column, parser->line, parser->column};
}

static bool fail(Parser *parser, const char *message) {
    if (!parser->failed)
        cvm_diag_error(parser->diag, 1400, here(parser), NULL, NULL, "%s", message);
    parser->failed = true;
    return false;
}

static bool accept(Parser *parser, const char *text) {
    skip_space(parser);
    size_t length = strlen(text);
    if (parser->source->length - parser->at < length ||
        memcmp(parser->source->text + parser->at, text, length))
        return false;
    bool word = isalnum((unsigned char)text[length - 1]);
    if (word && parser->at + length < parser->source->length) {
        unsigned char after = (unsigned char)parser->source->text[parser->at + length];
        if (isalnum(after) || after == '_' || after == '.')
            return false;
    }
    for (size_t i = 0; i < length; i++)
        advance(parser);
    return true;
}

static bool expect(Parser *parser, const char *text) {
    if (parser->failed || accept(parser, text))
        return !parser->failed;
    char message[64];
    snprintf(message, sizeof message, "expected '%s'", text);
    return fail(parser, message);
}

static bool is_name_character(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a string, escapes resolved; -1 where it is malformed. */
static int string_character(Parser *parser) {
    char c = peek(parser);
    advance(parser);
    if (c != '\\')
        return (unsigned char)c;
    c = peek(parser);
    advance(parser);
    if (c == '"' || c == '\\')
        return c;
    if (c != 'x')
        return -1;
    int high = hex_digit(peek(parser));
    advance(parser);
    int low = hex_digit(peek(parser));
    advance(parser);
    return high < 0 || low < 0 || high * 16 + low == 0 ? -1 : high * 16 + low;
}

static const char *parse_string(Parser *parser) {
    if (!expect(parser, "\""))
        return "";
    size_t capacity = 0;
    for (size_t i = parser->at; i < parser->source->length && parser->source->text[i] != '\n'; i++)
        capacity++;
    char *text = cvm_arena_alloc(parser->arena, capacity + 1);
    size_t length = 0;
    while (peek(parser) != '"') {
        int c = peek(parser) == 0 || peek(parser) == '\n' ? -1 : string_character(parser);
        if (c < 0) {
            fail(parser, "a string does not end, or has an unknown escape");
            return "";
        }
        text[length++] = (char)c;
    }
    advance(parser);
    return text;
}

static const char *parse_name(Parser *parser) {
    skip_space(parser);
    if (peek(parser) == '"')
        return parse_string(parser);
    size_t start = parser->at;
    while (is_name_character(peek(parser)))
        advance(parser);
    if (parser->at == start)
        fail(parser, "expected a name");
    return cvm_arena_copy(parser->arena, parser->source->text + start, parser->at - start);
}

/* The characters of a number, copied out so that it can be converted safely. */
static bool number_text(Parser *parser, char *text, size_t size) {
    skip_space(parser);
    size_t length = 0;
    while (length + 1 < size && (isalnum((unsigned char)peek(parser)) || peek(parser) == '-' ||
                                 peek(parser) == '+' || peek(parser) == '.')) {
        text[length++] = peek(parser);
        advance(parser);
    }
    text[length] = 0;
    return length > 0 ? true : fail(parser, "expected a number");
}

static int64_t parse_integer(Parser *parser, int64_t least, int64_t most) {
    char text[32], *end;
    if (parser->failed || !number_text(parser, text, sizeof text))
        return least;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end || errno || value < least || value > most) {
        fail(parser, "expected a whole number in range");
        return least;
    }
    return value;
}

static double parse_real(Parser *parser) {
    char text[64], *end;
    if (parser->failed || !number_text(parser, text, sizeof text))
        return 0;
    double value = strtod(text, &end);
    if (*end)
        fail(parser, "expected a number");
    return value;
}

/* --- parts of a node --- */

static int parse_list(Parser *parser, int64_t *values, int most, int64_t least) {
    int count = 0;
    if (!expect(parser, "["))
        return 0;
    if (accept(parser, "]"))
        return 0;
    do {
        if (count == most) {
            fail(parser, "the list is too long");
            return 0;
        }
        values[count++] = parse_integer(parser, least, (int64_t)1 << 48);
    } while (!parser->failed && accept(parser, ","));
    expect(parser, "]");
    return count;
}

static void parse_attribute(Parser *parser, CvmAttributeKind kind, CvmAttribute *value) {
    const int64_t least = -((int64_t)1 << 48);
    switch (kind) {
    case CVM_ATTRIBUTE_SIZE:
        if (parse_list(parser, value->integers, 2, least) != 2)
            fail(parser, "expected [height, width]");
        break;
    case CVM_ATTRIBUTE_PAD:
        if (parse_list(parser, value->integers, 4, least) != 4)
            fail(parser, "expected [top, left, bottom, right]");
        break;
    case CVM_ATTRIBUTE_REAL:
        value->real = parse_real(parser);
        break;
    case CVM_ATTRIBUTE_TEXT:
        value->text = parse_string(parser);
        break;
    default:
        value->integers[0] = parse_integer(parser, least, (int64_t)1 << 48);
        break;
    }
}

/* All attributes of the op, in its table's order, as the printer writes them. */
static void parse_attributes(Parser *parser, CvmOp op, CvmAttribute *attributes) {
    const CvmAttributeInfo *rows = cvm_op_info(op)->attributes;
    memset(attributes, 0, CVM_MAX_ATTRIBUTES * sizeof *attributes);
    if (rows[0].kind == CVM_ATTRIBUTE_END || !expect(parser, "{"))
        return;
    for (int i = 0; rows[i].kind != CVM_ATTRIBUTE_END && !parser->failed; i++) {
        if ((i > 0 && !expect(parser, ",")) || !expect(parser, rows[i].name) ||
            !expect(parser, "="))
            return;
        parse_attribute(parser, rows[i].kind, &attributes[i]);
    }
    expect(parser, "}");
}

/* A word that ends in a digit behind a type is its layout: "channel8". */
static void parse_layout(Parser *parser, CvmType *type) {
    skip_space(parser);
    const char *text = parser->source->text + parser->at;
    size_t rest = parser->source->length - parser->at, length = 0;
    while (length < rest && isalpha((unsigned char)text[length]))
        length++;
    if (length == 0 || length == rest || !isdigit((unsigned char)text[length]))
        return;
    while (length < rest && isdigit((unsigned char)text[length]))
        length++;
    if (!cvm_layout_parse(text, length, type))
        fail(parser, "expected a layout: batch8, channel8 or filter8, of 2 to 64 lanes");
    for (size_t i = 0; i < length; i++)
        advance(parser);
}

static CvmType parse_type(Parser *parser) {
    CvmType type = {0};
    if (!expect(parser, ":"))
        return type;
    if (accept(parser, "i32"))
        type.dtype = CVM_I32;
    else if (accept(parser, "bf16"))
        type.dtype = CVM_BF16;
    else if (!accept(parser, "f32"))
        fail(parser, "expected f32, bf16 or i32");
    type.shape.rank = parse_list(parser, type.shape.sizes, CVM_MAX_RANK, 1);
    int64_t count;
    if (!parser->failed && (!cvm_shape_count(&type.shape, &count) || count > (int64_t)1 << 40))
        fail(parser, "the shape is too large");
    parse_layout(parser, &type);
    return type;
}

static int parse_operands(Parser *parser, CvmNode **operands) {
    int count = 0;
    if (!expect(parser, "(") || accept(parser, ")"))
        return 0;
    do {
        if (count == MAX_OPERANDS || !expect(parser, "%")) {
            fail(parser, "too many operands");
            return 0;
        }
        int id = (int)parse_integer(parser, 0, MAX_NODES);
        if (id >= parser->id_capacity || !parser->by_id[id]) {
            fail(parser, "this value is not defined above");
            return 0;
        }
        operands[count++] = parser->by_id[id];
    } while (!parser->failed && accept(parser, ","));
    expect(parser, ")");
    return count;
}

/* @ "file":line:column, kept as a source without text. */
static CvmSpan parse_place(Parser *parser, CvmSpan otherwise) {
    if (!accept(parser, "@"))
        return otherwise;
    CvmSource *source = CVM_NEW(parser->arena, CvmSource);
    source->path = parse_string(parser);
    source->text = "";
    expect(parser, ":");
    int line = (int)parse_integer(parser, 0, MAX_LINES);
    expect(parser, ":");
    int column = (int)parse_integer(parser, 0, MAX_LINES);
    return (CvmSpan){source, line, column, line, column};
}

static void remember(Parser *parser, int id, CvmNode *node) {
    if (id >= parser->id_capacity) {
        int capacity = id * 2 + 64;
        CvmNode **longer = cvm_arena_array(parser->arena, (size_t)capacity, sizeof *longer);
        if (parser->id_capacity)
            memcpy(longer, parser->by_id, (size_t)parser->id_capacity * sizeof *longer);
        parser->by_id = longer;
        parser->id_capacity = capacity;
    }
    parser->by_id[id] = node;
}

static CvmNode *make_node(Parser *parser, CvmOp op, CvmOrigin origin, CvmNode **operands, int count,
                          const CvmAttribute *attributes, const CvmType *type) {
    switch (op) {
    case CVM_OP_INPUT:
        return cvm_graph_input(parser->graph, origin.name, type->dtype, type->shape, origin);
    case CVM_OP_PARAMETER: {
        CvmNode *node = cvm_graph_parameter(parser->graph, attributes[0].text, type->shape,
                                            attributes[1].real, attributes[2].real, origin);
        node->type = *type; /* the verifier knows which layouts it may have */
        return node;
    }
    case CVM_OP_CONSTANT:
        return cvm_graph_constant(parser->graph, type->shape, attributes[0].real, origin);
    default:
        break;
    }
    const CvmOpInfo *info = cvm_op_info(op);
    if (info->operand_count >= 0 && info->operand_count != count) {
        fail(parser, "wrong number of operands");
        return NULL;
    }
    CvmNode *node =
        cvm_graph_add(parser->graph, op, operands, count, attributes, origin, parser->diag);
    parser->failed |= !node;
    return node;
}

static bool types_agree(const CvmType *a, const CvmType *b) {
    return a->dtype == b->dtype && cvm_shape_equal(&a->shape, &b->shape) && cvm_layout_equal(a, b);
}

static bool starts_part(const Parser *parser) {
    return strchr("({:@", peek(parser)) != NULL;
}

/* %id = op name (operands) {attributes} : type @ place; the % is read. */
static void parse_node(Parser *parser) {
    CvmSpan start = here(parser);
    int id = (int)parse_integer(parser, 0, MAX_NODES);
    if (!expect(parser, "="))
        return;
    CvmOp op = cvm_op_find(parse_name(parser));
    if (parser->failed || op == CVM_OP_COUNT) {
        fail(parser, "unknown operator");
        return;
    }
    CvmOrigin origin = {.name = "", .span = start};
    skip_space(parser);
    if (!starts_part(parser))
        origin.name = parse_name(parser);
    CvmNode *operands[MAX_OPERANDS];
    bool source = cvm_op_info(op)->class == CVM_CLASS_SOURCE;
    int count = source ? 0 : parse_operands(parser, operands);
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES];
    parse_attributes(parser, op, attributes);
    CvmType type = parse_type(parser);
    origin.span = parse_place(parser, start);
    if (parser->failed)
        return;
    if (id < parser->id_capacity && parser->by_id[id]) {
        fail(parser, "this id is taken");
        return;
    }
    if (op == CVM_OP_PARAMETER && type.dtype != CVM_F32) {
        fail(parser, "parameters are f32");
        return;
    }
    CvmNode *node = make_node(parser, op, origin, operands, count, attributes, &type);
    if (!node)
        return;
    if (!types_agree(&node->type, &type)) {
        fail(parser, "the type is not the one the operands give");
        return;
    }
    node->id = id;
    node->group = parser->group;
    remember(parser, id, node);
    if (id >= parser->graph->next_id)
        parser->graph->next_id = id + 1;
    if (parser->graph->node_count > MAX_NODES)
        fail(parser, "the graph has too many nodes");
}

static void parse_named_value(Parser *parser, void (*add)(CvmGraph *, const char *, CvmNode *)) {
    const char *name = parse_name(parser);
    if (!expect(parser, "=") || !expect(parser, "%"))
        return;
    int id = (int)parse_integer(parser, 0, MAX_NODES);
    if (parser->failed)
        return;
    if (id >= parser->id_capacity || !parser->by_id[id])
        fail(parser, "this value is not defined above");
    else
        add(parser->graph, name, parser->by_id[id]);
}

static void parse_group(Parser *parser) {
    if (parser->group != CVM_NO_GROUP) {
        fail(parser, "groups do not nest");
        return;
    }
    parser->group = (int)parse_integer(parser, 0, MAX_NODES);
    if (parser->group >= parser->graph->next_group)
        parser->graph->next_group = parser->group + 1;
    expect(parser, "{");
}

/* One line of the body; false at its end. */
static bool parse_line(Parser *parser) {
    if (accept(parser, "}")) {
        bool inner = parser->group != CVM_NO_GROUP;
        parser->group = CVM_NO_GROUP;
        return inner;
    }
    if (accept(parser, "%"))
        parse_node(parser);
    else if (accept(parser, "group"))
        parse_group(parser);
    else if (accept(parser, "output"))
        parse_named_value(parser, cvm_graph_output);
    else if (accept(parser, "update"))
        parse_named_value(parser, cvm_graph_update);
    else
        return fail(parser, "expected a node, a group, an output, an update or '}'");
    return !parser->failed;
}

CvmGraph *cvm_graph_parse(CvmArena *arena, const CvmSource *source, CvmDiag *diag) {
    Parser parser = {.arena = arena,
                     .source = source,
                     .diag = diag,
                     .line = 1,
                     .column = 1,
                     .group = CVM_NO_GROUP};
    if (!expect(&parser, "graph"))
        return NULL;
    parser.graph = cvm_graph_create(arena, parse_name(&parser));
    expect(&parser, "{");
    while (!parser.failed && parse_line(&parser))
        continue;
    skip_space(&parser);
    if (!parser.failed && parser.at < source->length)
        fail(&parser, "text after the graph's end");
    if (parser.failed || !cvm_graph_verify(parser.graph, diag))
        return NULL;
    return parser.graph;
}
