/* Patterns that name parameters: a section's or layer's path ("body", "body.conv1"), or with '*'
 * standing for any letters ("*.bias"). What a train's freeze and rate lines say follows from them.
 */
#include "compiler/front/program.h"

#include <string.h>

/* '*' matches any run of characters, dots included. Linear: only the last '*' is tried again. */
static bool matches_glob(const char *pattern, const char *name, bool prefix) {
    const char *star = NULL, *retry = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            retry = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (prefix && !*pattern && *name == '.') {
            return true;
        } else if (star) {
            pattern = star + 1;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

bool cvm_pattern_matches(const char *pattern, const char *name) {
    return matches_glob(pattern, name, true);
}

double cvm_train_multiplier(const CvmTrain *train, const char *name) {
    double multiplier = 1;
    bool frozen = false;
    for (int i = 0; i < train->rule_count; i++) { /* later lines win */
        const CvmRateRule *rule = &train->rules[i];
        if (rule->epoch > train->epoch || !cvm_pattern_matches(rule->pattern, name))
            continue;
        frozen = rule->kind == CVM_RULE_FREEZE;
        if (rule->kind == CVM_RULE_RATE)
            multiplier = rule->multiplier;
    }
    return frozen ? 0 : multiplier;
}

int cvm_train_phase_end(const CvmTrain *train, int epoch) {
    int end = train->epochs;
    for (int i = 0; i < train->rule_count; i++)
        if (train->rules[i].epoch > epoch && train->rules[i].epoch < end)
            end = train->rules[i].epoch;
    return end;
}
