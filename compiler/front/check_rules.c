/* What learns, how fast, and from when on: a train's freeze, unfreeze and rate lines become rules,
 * and what they say together is checked. `rate body 0.8x per layer` becomes one rule a layer. */
#include "compiler/front/check.h"

#include <string.h>

enum { MAX_RULES = 1000, MAX_NAMES = 256, MAX_EPOCH = 1000000 };

static bool is_weight(const CvmNode *node) {
    return node->op == CVM_OP_PARAMETER &&
           !strcmp(cvm_node_attribute(node, "kind")->text, "weight");
}

/* --- patterns --- */

static bool matches_any(const CvmGraph *graph, const char *pattern) {
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_PARAMETER &&
            cvm_pattern_matches(pattern, graph->nodes[i]->origin.name))
            return true;
    return false;
}

/* The nearest of the sections and layers there are, for the hint. */
static const char *nearest_section(CvmArena *arena, const CvmGraph *graph, const char *pattern) {
    const char *names[MAX_NAMES];
    int count = 0;
    for (int i = 0; i < graph->node_count && count < MAX_NAMES; i++) {
        const CvmNode *node = graph->nodes[i];
        const char *name = node->op == CVM_OP_PARAMETER ? node->origin.name : "";
        for (const char *dot = strchr(name, '.'); dot && count < MAX_NAMES;
             dot = strchr(dot + 1, '.'))
            names[count++] = cvm_arena_copy(arena, name, (size_t)(dot - name));
    }
    return cvm_nearest_name(pattern, names, count);
}

bool cvm_check_pattern(CvmProgram *program, const CvmAstPattern *pattern, const CvmGraph *graph) {
    const char *text = pattern->name.text;
    if (matches_any(graph, text))
        return true;
    const char *near = nearest_section(program->arena, graph, text);
    return cvm_diag_error(
        program->diag, 1330, pattern->name.span, NULL,
        cvm_did_you_mean(program->arena, near, "'cvmc explain' lists the layers' names"),
        "'%s' matches no parameter of %s", text, graph->name);
}

/* --- reading --- */

static bool add_rule(CvmProgram *program, CvmTrain *train, CvmRateRule rule) {
    if (!train->rules)
        train->rules = cvm_arena_array(program->arena, MAX_RULES, sizeof *train->rules);
    if (train->rule_count == MAX_RULES)
        return cvm_diag_error(program->diag, 1331, rule.span, NULL, NULL,
                              "too many freeze and rate lines");
    ((CvmRateRule *)train->rules)[train->rule_count++] = rule;
    return true;
}

/* Whether a layer begins with this parameter, whose path is "layer.weight". What has no matrix of
 * its own, such as batch norm, goes with the layer before it. */
static bool begins_layer(const CvmNode *node, const char *pattern) {
    return is_weight(node) && node->type.shape.rank > 1 &&
           cvm_pattern_matches(pattern, node->origin.name);
}

static char *layer_of(CvmArena *arena, const char *parameter) {
    return cvm_arena_copy(arena, parameter, (size_t)(strrchr(parameter, '.') - parameter));
}

/* The last layer learns at the multiple, each one before it at the multiple of the one behind. */
static bool add_rule_per_layer(CvmProgram *program, CvmTrain *train, const CvmGraph *graph,
                               CvmRateRule rule) {
    const double factor = rule.multiplier;
    const char *pattern = rule.pattern, *last = "";
    int layers = 0, begun = 0;
    for (int i = 0; i < graph->node_count; i++)
        layers += begins_layer(graph->nodes[i], pattern);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (!is_weight(node) || !cvm_pattern_matches(pattern, node->origin.name))
            continue;
        begun += begins_layer(node, pattern);
        rule.pattern = layer_of(program->arena, node->origin.name);
        rule.multiplier = factor;
        for (int behind = begun; behind < layers; behind++)
            rule.multiplier *= factor;
        if (strcmp(rule.pattern, last) != 0 && !add_rule(program, train, rule))
            return false;
        last = rule.pattern;
    }
    return true;
}

static bool read_epoch(CvmProgram *program, const CvmAstSetting *setting, int *epoch) {
    const CvmEval eval = {.diag = program->diag};
    int64_t number = 1;
    if (setting->epoch &&
        !cvm_eval_in_range(&eval, setting->epoch, "the epoch", 1, MAX_EPOCH, &number))
        return false;
    *epoch = (int)number - 1;
    return true;
}

bool cvm_read_rules(CvmProgram *program, const CvmAstSetting *setting, const CvmGraph *graph,
                    CvmTrain *train) {
    static const CvmRateRuleKind kinds[] = {[CVM_AST_FREEZE] = CVM_RULE_FREEZE,
                                            [CVM_AST_UNFREEZE] = CVM_RULE_UNFREEZE,
                                            [CVM_AST_RATE] = CVM_RULE_RATE};
    CvmRateRule rule = {.kind = kinds[setting->kind],
                        .multiplier = setting->value ? setting->value->real : 0};
    bool sound = read_epoch(program, setting, &rule.epoch);
    for (const CvmAstPattern *one = setting->patterns; one; one = one->next) {
        rule.pattern = one->name.text;
        rule.span = one->name.span;
        if (graph && !cvm_check_pattern(program, one, graph))
            sound = false;
        else if (setting->per_layer && graph)
            sound &= add_rule_per_layer(program, train, graph, rule);
        else
            sound &= add_rule(program, train, rule);
    }
    return sound;
}

/* --- what they say together --- */

/* Whether some parameter learns otherwise in the rule's epoch than without the rule. */
static bool changes_something(const CvmTrain *train, const CvmGraph *graph, int index) {
    CvmRateRule rules[MAX_RULES];
    CvmTrain with = *train, without = *train;
    memcpy(rules, train->rules, (size_t)train->rule_count * sizeof *rules);
    rules[index].epoch = MAX_EPOCH; /* never comes */
    without.rules = rules;
    with.epoch = without.epoch = train->rules[index].epoch;
    for (int i = 0; i < graph->node_count; i++) {
        const char *name = graph->nodes[i]->origin.name;
        if (graph->nodes[i]->op == CVM_OP_PARAMETER &&
            cvm_train_multiplier(&with, name) != cvm_train_multiplier(&without, name))
            return true;
    }
    return false;
}

static bool check_rule(CvmProgram *program, const CvmTrain *train, const CvmGraph *graph,
                       int index) {
    const CvmRateRule *rule = &train->rules[index];
    if (rule->epoch >= train->epochs)
        return cvm_diag_error(
            program->diag, 1332, rule->span, NULL, "choose an earlier epoch, or more 'epochs'",
            "epoch %d is beyond the end: the training has %d", rule->epoch + 1, train->epochs);
    if ((rule->epoch == 0 && rule->kind != CVM_RULE_UNFREEZE) ||
        changes_something(train, graph, index))
        return true;
    if (rule->kind == CVM_RULE_UNFREEZE)
        return cvm_diag_error(program->diag, 1333, rule->span, NULL,
                              "freeze it in a line above this one, and in none below",
                              "'%s' is not frozen before epoch %d, or stays frozen by a line below",
                              rule->pattern, rule->epoch + 1);
    return cvm_diag_error(program->diag, 1333, rule->span, NULL, "later lines win: put it below",
                          "in epoch %d this line changes nothing", rule->epoch + 1);
}

static bool check_phase(CvmProgram *program, const CvmTrain *train, const CvmGraph *graph,
                        int epoch) {
    CvmTrain then = *train;
    then.epoch = epoch;
    for (int i = 0; i < graph->node_count; i++)
        if (is_weight(graph->nodes[i]) &&
            cvm_train_multiplier(&then, graph->nodes[i]->origin.name) != 0)
            return true;
    int end = cvm_train_phase_end(train, epoch);
    CvmSpan span = train->rule_count ? train->rules[train->rule_count - 1].span : train->span;
    const char *mend = "let the last layer learn, or use 'cvmc eval --weights'";
    if (epoch == 0 && end == train->epochs)
        return cvm_diag_error(program->diag, 1334, span, NULL, mend,
                              "everything is frozen: nothing would learn");
    return cvm_diag_error(program->diag, 1334, span, NULL, mend,
                          "everything is frozen in epochs %d to %d: nothing would learn", epoch + 1,
                          end);
}

bool cvm_check_rules(CvmProgram *program, const CvmTrain *train, const CvmGraph *graph) {
    bool sound = true;
    for (int i = 0; i < train->rule_count; i++)
        sound &= check_rule(program, train, graph, i);
    for (int epoch = 0; sound && epoch < train->epochs; epoch = cvm_train_phase_end(train, epoch))
        sound = check_phase(program, train, graph, epoch);
    return sound;
}
