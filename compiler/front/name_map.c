/* See name_map.h. A layer, here, is a name without its last part: tensors "features.0.weight" and
 * "features.0.bias" belong to the layer "features.0". */
#include "compiler/front/name_map.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct Text {
    const char *begin;
    size_t length;
} Text;

/* What a pattern made of a name: the texts its stars stand for, and what is left behind a dot. */
typedef struct Match {
    Text stars[CVM_MAX_STARS];
    int star_count;
    const char *rest;
} Match;

/* Whether the pattern is the name or its first parts. Each star takes as little as it can; only the
 * last one is tried again, so that the time is bounded. */
static bool match_name(const char *pattern, const char *name, Match *match) {
    const char *behind_star = NULL;
    match->star_count = 0;
    for (;;) {
        if (*pattern == '*') {
            behind_star = ++pattern;
            match->stars[match->star_count++] = (Text){name, 0};
        } else if (!*pattern && (!*name || *name == '.')) {
            match->rest = name;
            return true;
        } else if (*pattern && *pattern == *name) {
            pattern++;
            name++;
        } else {
            Text *last = match->star_count ? &match->stars[match->star_count - 1] : NULL;
            if (!last || !last->begin[last->length])
                return false;
            name = last->begin + ++last->length;
            pattern = behind_star;
        }
    }
}

static const char *fill_target(CvmArena *arena, const char *target, const Match *match) {
    size_t size = strlen(target) + strlen(match->rest) + 1;
    for (int i = 0; i < match->star_count; i++)
        size += match->stars[i].length;
    char *text = cvm_arena_alloc(arena, size), *end = text;
    const Text *star = match->stars;
    for (; *target; target++) {
        Text added = *target == '*' ? *star++ : (Text){target, 1};
        memcpy(end, added.begin, added.length);
        end += added.length;
    }
    strcpy(end, match->rest);
    return text;
}

static bool is_parameter(const CvmRenaming *renaming, const char *name) {
    for (int i = 0; i < renaming->parameter_count; i++)
        if (!strcmp(renaming->parameters[i], name))
            return true;
    return false;
}

static bool needs_renaming(const CvmRenaming *renaming, int index) {
    return renaming->names[index] && !is_parameter(renaming, renaming->names[index]);
}

static void tell_idle(const CvmRenaming *renaming, const CvmNameRule *rule, const char *source) {
    renaming->tell(renaming->context,
                   cvm_arena_format(renaming->arena,
                                    "\"%s\" (%s, line %d) matches nothing in the file", source,
                                    rule->span.source->path, rule->span.first_line));
}

/* --- lines that name what they mean --- */

static int apply_source(const CvmRenaming *renaming, const CvmNameRule *rule, const char *source) {
    int done = 0;
    for (int i = 0; i < renaming->count; i++) {
        Match match;
        if (!needs_renaming(renaming, i) || !match_name(source, renaming->names[i], &match))
            continue;
        renaming->names[i] = rule->kind == CVM_NAME_IGNORE
                                 ? NULL
                                 : fill_target(renaming->arena, rule->target, &match);
        done++;
    }
    return done;
}

static void apply_named(const CvmRenaming *renaming, const CvmNameRule *rule) {
    for (int i = 0; i < rule->source_count; i++)
        if (!apply_source(renaming, rule, rule->sources[i]) && !strchr(rule->sources[i], '*'))
            tell_idle(renaming, rule, rule->sources[i]);
}

/* --- in order --- */

typedef struct Layer {
    int section; /* which of the line's sources it lies in */
    const char *name;
    size_t length; /* without the tensor's own part */
} Layer;

typedef struct Layers {
    Layer *list;
    int count;
} Layers;

static Layer layer_of(const char *name, int section) {
    const char *dot = strrchr(name, '.');
    return (Layer){section, name, dot ? (size_t)(dot - name) : 0};
}

static bool same_layer(const Layer *a, const Layer *b) {
    return a->length == b->length && !memcmp(a->name, b->name, a->length);
}

static size_t count_digits(const char *text, const char *end) {
    const char *digit = text;
    while (digit < end && isdigit((unsigned char)*digit))
        digit++;
    return (size_t)(digit - text);
}

/* By section; then by name, where a run of digits counts as a number: "features.2" comes before
 * "features.10", as the longer run is the larger number. */
static int compare_layers(const void *one, const void *other) {
    const Layer *a = one, *b = other;
    if (a->section != b->section)
        return a->section - b->section;
    const char *x = a->name, *y = b->name, *x_end = x + a->length, *y_end = y + b->length;
    for (; x < x_end && y < y_end; x++, y++) {
        size_t x_digits = count_digits(x, x_end), y_digits = count_digits(y, y_end);
        if (x_digits && y_digits && x_digits != y_digits)
            return x_digits < y_digits ? -1 : 1;
        if (*x != *y)
            return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
    }
    return (x < x_end) - (y < y_end);
}

static int section_of(const CvmNameRule *rule, const char *name) {
    for (int i = 0; i < rule->source_count; i++)
        if (cvm_pattern_matches(rule->sources[i], name))
            return i;
    return -1;
}

/* The file's layers that the line means, each once, in order. */
static Layers list_file_layers(const CvmRenaming *renaming, const CvmNameRule *rule) {
    Layers layers = {
        .list = cvm_arena_array(renaming->arena, (size_t)renaming->count + 1, sizeof(Layer))};
    for (int i = 0; i < renaming->count; i++) {
        int section = needs_renaming(renaming, i) ? section_of(rule, renaming->names[i]) : -1;
        if (section >= 0)
            layers.list[layers.count++] = layer_of(renaming->names[i], section);
    }
    qsort(layers.list, (size_t)layers.count, sizeof(Layer), compare_layers);
    int kept = 0;
    for (int i = 0; i < layers.count; i++)
        if (!kept || !same_layer(&layers.list[i], &layers.list[kept - 1]))
            layers.list[kept++] = layers.list[i];
    layers.count = kept;
    return layers;
}

/* The model's, whose parameters stand together. */
static Layers list_model_layers(const CvmRenaming *renaming, const CvmNameRule *rule) {
    Layers layers = {.list = cvm_arena_array(renaming->arena, (size_t)renaming->parameter_count + 1,
                                             sizeof(Layer))};
    for (int i = 0; i < renaming->parameter_count; i++) {
        if (rule->target && !cvm_pattern_matches(rule->target, renaming->parameters[i]))
            continue;
        Layer layer = layer_of(renaming->parameters[i], 0);
        if (!layers.count || !same_layer(&layer, &layers.list[layers.count - 1]))
            layers.list[layers.count++] = layer;
    }
    return layers;
}

/* bsearch needs the comparison above: layers of one section and name are one. */
static const Layer *find_layer(const Layers *layers, const Layer *layer) {
    return bsearch(layer, layers->list, (size_t)layers->count, sizeof *layer, compare_layers);
}

static void rename_in_order(const CvmRenaming *renaming, const CvmNameRule *rule,
                            const Layers *from, const Layers *to) {
    for (int i = 0; i < renaming->count; i++) {
        const char *name = renaming->names[i];
        int section = needs_renaming(renaming, i) ? section_of(rule, name) : -1;
        if (section < 0)
            continue;
        Layer layer = layer_of(name, section);
        const Layer *found = find_layer(from, &layer);
        if (!found || found - from->list >= to->count)
            continue;
        const Layer *target = &to->list[found - from->list];
        renaming->names[i] = cvm_arena_format(renaming->arena, "%.*s%s", (int)target->length,
                                              target->name, name + layer.length);
    }
}

static void apply_in_order(const CvmRenaming *renaming, const CvmNameRule *rule) {
    Layers from = list_file_layers(renaming, rule), to = list_model_layers(renaming, rule);
    bool *seen = cvm_arena_array(renaming->arena, (size_t)rule->source_count + 1, sizeof *seen);
    for (int i = 0; i < from.count; i++)
        seen[from.list[i].section] = true;
    for (int i = 0; i < rule->source_count; i++)
        if (!seen[i])
            tell_idle(renaming, rule, rule->sources[i]);
    if (from.count != to.count)
        renaming->tell(renaming->context,
                       cvm_arena_format(renaming->arena,
                                        "in order (%s, line %d): the file has %d such layers, the "
                                        "model %d",
                                        rule->span.source->path, rule->span.first_line, from.count,
                                        to.count));
    rename_in_order(renaming, rule, &from, &to);
}

void cvm_rename_tensors(const CvmRenaming *renaming) {
    bool needed = false;
    for (int i = 0; i < renaming->count && !needed; i++)
        needed = needs_renaming(renaming, i);
    for (int i = 0; needed && i < renaming->map->rule_count; i++) {
        const CvmNameRule *rule = &renaming->map->rules[i];
        if (rule->kind == CVM_NAME_IN_ORDER)
            apply_in_order(renaming, rule);
        else
            apply_named(renaming, rule);
    }
}
