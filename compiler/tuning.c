/* See tuning.h. */
#include "compiler/tuning.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

CvmTuningEntry *cvm_tuning_find(const CvmTuning *tuning, const char *question) {
    for (CvmTuningEntry *entry = tuning->first; entry; entry = entry->next)
        if (strcmp(entry->question, question) == 0)
            return entry;
    return NULL;
}

CvmTuningEntry *cvm_tuning_add(CvmTuning *tuning, const char *question) {
    CvmTuningEntry *entry = CVM_NEW(tuning->arena, CvmTuningEntry);
    entry->question = cvm_arena_format(tuning->arena, "%s", question);
    entry->taken = -1;
    *(tuning->last ? &tuning->last->next : &tuning->first) = entry;
    return tuning->last = entry;
}

static void note_layer(CvmTuning *tuning, CvmTuningEntry *entry, const char *layer) {
    for (int i = 0; i < entry->layer_count; i++)
        if (strcmp(entry->layers[i], layer) == 0)
            return;
    if (entry->layer_count == entry->layer_capacity) {
        int capacity = 2 * entry->layer_capacity + 4;
        const char **longer = cvm_arena_array(tuning->arena, (size_t)capacity, sizeof *longer);
        if (entry->layer_count)
            memcpy(longer, entry->layers, (size_t)entry->layer_count * sizeof *longer);
        entry->layers = longer;
        entry->layer_capacity = capacity;
    }
    entry->layers[entry->layer_count++] = cvm_arena_format(tuning->arena, "%s", layer);
}

int cvm_tuning_choose(CvmTuning *tuning, const char *question, const CvmTuningChoice *choice) {
    CvmTuningEntry *entry = tuning ? cvm_tuning_find(tuning, question) : NULL;
    if (tuning && tuning->collects && choice->count > 1) {
        if (!entry)
            entry = cvm_tuning_add(tuning, question);
        entry->choice = *choice;
        note_layer(tuning, entry, choice->layer);
    }
    int taken = 0;
    for (int i = 0; entry && entry->answer && i < choice->count; i++)
        if (strcmp(choice->names[i], entry->answer) == 0)
            taken = i;
    if (entry)
        entry->taken = taken;
    return taken;
}

static const char *time_text(double seconds, CvmArena *arena) {
    return seconds < 1e-3 ? cvm_arena_format(arena, "%.1f us", seconds * 1e6)
                          : cvm_arena_format(arena, "%.2f ms", seconds * 1e3);
}

const char *cvm_tuning_reason(const CvmTuning *tuning, const char *question,
                              const CvmTuningChoice *choice, int chosen) {
    const CvmTuningEntry *entry = tuning ? cvm_tuning_find(tuning, question) : NULL;
    if (!entry || !entry->answer || !entry->model ||
        strcmp(entry->answer, choice->names[chosen]) != 0)
        return NULL;
    CvmArena *arena = tuning->arena;
    if (strcmp(entry->answer, entry->model) == 0)
        return cvm_arena_format(arena, "measured: %s, the best, as the model has it",
                                time_text(entry->seconds, arena));
    return cvm_arena_format(arena, "measured: %s, %s has %s", time_text(entry->seconds, arena),
                            entry->model, time_text(entry->model_seconds, arena));
}

void cvm_tuning_offer(CvmTuningChoice *choice, const char *format, ...) {
    char name[CVM_TUNING_NAME];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    for (int i = 0; i < choice->count; i++)
        if (strcmp(choice->names[i], name) == 0)
            return;
    if (choice->count < CVM_TUNING_CANDIDATES)
        strcpy(choice->names[choice->count++], name);
}
