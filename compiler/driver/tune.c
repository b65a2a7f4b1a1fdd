/* See tune.h. All choice points try a candidate at a time, side by side: in round (i, j) every
 * choice among algorithms takes its candidate number i, and every choice among cuts its number j,
 * so that a few compilations measure all of them, each in the place where it runs. What an
 * algorithm costs is the time of the kernels that hold its layers, with whatever other rounds had
 * fused into them, so that a pooling which only one algorithm takes along counts for both; what a
 * cut costs is the time of the kernel that is cut. The least of all rounds counts; the model's
 * choice stays unless another one is clearly faster. */
#include "compiler/driver/tune.h"

#include "compiler/driver/inputs.h"
#include "compiler/driver/profile.h"
#include "compiler/driver/report.h"
#include "compiler/driver/table.h"
#include "runtime/clock.h"

#include <math.h>
#include <string.h>

/* LEAST_ROUNDS: the model's choices, which all are compared with, and one to compare with them,
 * however little time there is. */
enum { SECONDS = 60, LEAST_ROUNDS = 2, MOST_ROUNDS = 128, CONFIRMING = 3 };
static const double ROUND_SECONDS = 0.25, ROUND_SHARE = 1.0 / 40; /* of running, at most */
static const double WORTH = 0.97; /* share of the model's time that another must not exceed */

/* A kernel of a round: the layers in it, and what it takes. */
typedef struct Part {
    const char **layers;
    int layer_count;
    const char *question; /* that it asked about its cut */
    double seconds;
} Part;

typedef struct Round {
    Part *parts;
    int count;
    int *taken;  /* by entry: the candidate; -1: it was not asked */
    int entries; /* that there were */
} Round;

typedef struct Tuner {
    CvmSession *session;
    CvmTuning tuning;
    Round rounds[MOST_ROUNDS + 2 * CONFIRMING];
    int round_count;
    double end,
        round_seconds; /* of the time; of a round's runs, of which there are three at least */
    const char *what;
    int64_t batch;
} Tuner;

/* --- rounds --- */

static void set_answers(Tuner *tuner, const int numbers[2]) {
    for (CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next) {
        int number = numbers[entry->choice.level] % entry->choice.count;
        entry->answer = cvm_arena_format(tuner->session->arena, "%s", entry->choice.names[number]);
        entry->taken = -1;
    }
}

static bool has_layer(const char *const *layers, int count, const char *layer) {
    for (int i = 0; i < count; i++)
        if (strcmp(layers[i], layer) == 0)
            return true;
    return false;
}

/* The layers in all kernels of one symbol, whose times come together. */
static Part part_of(Tuner *tuner, const CvmKernelList *kernels, const CvmProfileRow *row) {
    CvmArena *arena = tuner->session->arena;
    Part part = {.seconds = row->least};
    int most = 0;
    for (int i = 0; i < kernels->count; i++)
        most += kernels->kernels[i]->node_count;
    const char **layers = cvm_arena_array(arena, (size_t)most + 1, sizeof *layers);
    for (int i = 0; i < kernels->count; i++) {
        const CvmKernel *kernel = kernels->kernels[i];
        if (strcmp(kernel->symbol, row->kernel) != 0)
            continue;
        part.question = kernel->question;
        for (int k = 0; k < kernel->node_count; k++) {
            const char *name = kernel->nodes[k]->origin.name;
            if (name && !has_layer(layers, part.layer_count, name))
                layers[part.layer_count++] = name;
        }
    }
    part.layers = layers;
    return part;
}

static void keep_round(Tuner *tuner, const CvmKernelList *kernels, const CvmProfile *profile) {
    CvmArena *arena = tuner->session->arena;
    Round *round = &tuner->rounds[tuner->round_count++];
    *round = (Round){0};
    round->parts = cvm_arena_array(arena, (size_t)profile->count + 1, sizeof *round->parts);
    for (int i = 0; i < profile->count; i++)
        round->parts[round->count++] = part_of(tuner, kernels, &profile->rows[i]);
    for (const CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next)
        round->entries++;
    round->taken = cvm_arena_array(arena, (size_t)round->entries + 1, sizeof *round->taken);
    int i = 0;
    for (const CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next)
        round->taken[i++] = entry->taken;
}

/* With the answers as they are. *least: of a whole run, where it is less. */
static bool run_round(Tuner *tuner, double *least) {
    CvmSession *session = tuner->session;
    CvmInstance *instance = cvm_bench_instance(session, &tuner->what, &tuner->batch);
    CvmPool *pool = instance ? cvm_session_pool(session) : NULL;
    if (!pool)
        return false;
    cvm_fill_inputs(session, instance, 0);
    CvmProfile profile = cvm_profile(instance, pool, 0, tuner->round_seconds, session->arena);
    *least = fmin(*least, profile.least);
    keep_round(tuner, cvm_executable_kernels(session->executables[0]), &profile);
    cvm_session_discard_plans(session, 0);
    return true;
}

/* The most candidates that a choice of this level has. */
static int most_candidates(const Tuner *tuner, CvmTuningLevel level) {
    int most = 0;
    for (const CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next)
        if (entry->choice.level == level && entry->choice.count > most)
            most = entry->choice.count;
    return most;
}

/* Algorithms first, then other cuts of each: when the time is over, the more valuable are done. */
static bool run_rounds(Tuner *tuner) {
    for (int cut = 0; cut == 0 || cut < most_candidates(tuner, CVM_TUNING_CUT); cut++)
        for (int way = 0; way == 0 || way < most_candidates(tuner, CVM_TUNING_WAY); way++) {
            double least = INFINITY;
            if (tuner->round_count == MOST_ROUNDS ||
                (tuner->round_count >= LEAST_ROUNDS && cvm_seconds() > tuner->end))
                return true;
            set_answers(tuner, (const int[]){way, cut});
            if (!run_round(tuner, &least))
                return false;
            if (tuner->session->options->verbose)
                cvm_report_note("round %d: algorithm %d, cut %d: %.2f ms a run", tuner->round_count,
                                way + 1, cut + 1, least * 1e3);
        }
    return true;
}

/* --- judging --- */

/* Adds the layers that stand in one kernel with the entry's, in any round. */
static int layers_with(const Tuner *tuner, const CvmTuningEntry *entry, const char **layers) {
    int count = entry->layer_count;
    memcpy(layers, entry->layers, (size_t)count * sizeof *layers);
    for (int r = 0; r < tuner->round_count; r++)
        for (int p = 0; p < tuner->rounds[r].count; p++) {
            const Part *part = &tuner->rounds[r].parts[p];
            bool with = false;
            for (int i = 0; i < part->layer_count; i++)
                with |= has_layer(entry->layers, entry->layer_count, part->layers[i]);
            for (int i = 0; with && i < part->layer_count; i++)
                if (!has_layer(layers, count, part->layers[i]))
                    layers[count++] = part->layers[i];
        }
    return count;
}

/* Of the kernels that asked the entry's question, or hold one of the layers. */
static double seconds_of(const Round *round, const CvmTuningEntry *entry, const char *const *layers,
                         int count) {
    double seconds = 0;
    for (int p = 0; p < round->count; p++) {
        const Part *part = &round->parts[p];
        bool with = part->question && strcmp(part->question, entry->question) == 0;
        for (int i = 0; i < part->layer_count; i++)
            with |= has_layer(layers, count, part->layers[i]);
        seconds += with ? part->seconds : 0;
    }
    return seconds;
}

static int most_layers(const Tuner *tuner) {
    int most = 0;
    for (int r = 0; r < tuner->round_count; r++)
        for (int p = 0; p < tuner->rounds[r].count; p++)
            most += tuner->rounds[r].parts[p].layer_count;
    return most;
}

/* What each candidate took at least in the rounds from `first` on; infinite: it was not tried. */
static void find_least(const Tuner *tuner, const CvmTuningEntry *entry, int index, int first,
                       double least[CVM_TUNING_CANDIDATES]) {
    const char **layers = cvm_arena_array(
        tuner->session->arena, (size_t)(most_layers(tuner) + entry->layer_count), sizeof *layers);
    int count = entry->choice.level == CVM_TUNING_WAY ? layers_with(tuner, entry, layers) : 0;
    for (int i = 0; i < CVM_TUNING_CANDIDATES; i++)
        least[i] = INFINITY;
    for (int r = first; r < tuner->round_count; r++) {
        const Round *round = &tuner->rounds[r];
        int number = index < round->entries ? round->taken[index] : -1;
        if (number >= 0)
            least[number] = fmin(least[number], seconds_of(round, entry, layers, count));
    }
}

static void set_answer(const Tuner *tuner, CvmTuningEntry *entry, const double *least, int best) {
    CvmArena *arena = tuner->session->arena;
    entry->answer = cvm_arena_format(arena, "%s", entry->choice.names[best]);
    entry->model = cvm_arena_format(arena, "%s", entry->choice.names[0]);
    entry->seconds = least[best];
    entry->model_seconds = least[0];
}

/* After the rounds. No answer where the time was over before there was anything to compare. */
static void judge(const Tuner *tuner, CvmTuningEntry *entry, int index) {
    double least[CVM_TUNING_CANDIDATES];
    int best = 0, tried = 0;
    find_least(tuner, entry, index, 0, least);
    for (int i = 0; i < entry->choice.count; i++) {
        tried += isfinite(least[i]);
        if (least[i] < WORTH * least[0] && least[i] < least[best])
            best = i;
    }
    entry->answer = NULL;
    if (isfinite(least[0]) && tried > 1)
        set_answer(tuner, entry, least, best);
}

/* After rounds of the model's choices and of the answers in turn: the least of many tries may have
 * been luck. What these rounds did not need stays as it is. */
static void judge_again(const Tuner *tuner, CvmTuningEntry *entry, int index, int first) {
    double least[CVM_TUNING_CANDIDATES];
    int best = 0;
    find_least(tuner, entry, index, first, least);
    for (int i = 1; i < entry->choice.count; i++)
        if (least[i] < least[best])
            best = i;
    if (entry->answer && isfinite(least[0]))
        set_answer(tuner, entry, least, best);
}

/* Rounds of the model's choices and of the answers so far in turn. seconds: the least of a run of
 * either. */
static bool confirm(Tuner *tuner, double seconds[2]) {
    int first = tuner->round_count, index = 0;
    seconds[0] = seconds[1] = INFINITY;
    for (int i = 0; i < 2 * CONFIRMING; i++) {
        for (CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next) {
            entry->taken = -1;
            if (i == 0)
                entry->best = entry->answer;
            entry->answer = i % 2 ? entry->best : NULL;
        }
        if (!run_round(tuner, &seconds[i % 2]))
            return false;
    }
    for (CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next) {
        entry->answer = entry->best;
        judge_again(tuner, entry, index++, first);
    }
    return true;
}

/* --- telling --- */

enum { LAYER, CHOICE, MODEL, BEST, MODEL_TIME, TIME, COLUMNS };

static const CvmColumn columns[COLUMNS] = {
    {"layer", false}, {"choice", false},     {"model", false},
    {"best", false},  {"model takes", true}, {"best takes", true},
};

static const char *time_text(CvmArena *arena, double seconds) {
    return seconds < 1e-3 ? cvm_arena_format(arena, "%.1f us", seconds * 1e6)
                          : cvm_arena_format(arena, "%.2f ms", seconds * 1e3);
}

/* "inference of 1 picture" */
static const char *what_text(const Tuner *tuner) {
    return cvm_arena_format(tuner->session->arena, "%s of %lld picture%s", tuner->what,
                            (long long)tuner->batch, tuner->batch == 1 ? "" : "s");
}

static void print_text(const Tuner *tuner, const double runs[2], const char *path) {
    CvmArena *arena = tuner->session->arena;
    if (!tuner->tuning.first) {
        printf("nothing to choose: each kernel is made in one way only, or takes less than a "
               "million operations; %s takes %s (least of a run)\n",
               what_text(tuner), time_text(arena, runs[0]));
        return;
    }
    CvmTable *table = cvm_table_create(arena, columns, COLUMNS);
    int changed = 0, answered = 0;
    for (const CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next) {
        if (!entry->answer || (entry->taken < 0 && !tuner->session->options->verbose))
            continue;
        bool other = strcmp(entry->answer, entry->model) != 0;
        answered++;
        changed += other;
        if (!other && !tuner->session->options->verbose)
            continue;
        cvm_table_add_row(table);
        cvm_table_set(table, LAYER, entry->layer_count > 1 ? "%s ..." : "%s", entry->layers[0]);
        cvm_table_set(table, CHOICE, "%s",
                      entry->choice.level == CVM_TUNING_WAY ? "algorithm" : "cut");
        cvm_table_set(table, MODEL, "%s", entry->model);
        cvm_table_set(table, BEST, "%s", entry->answer);
        cvm_table_set(table, MODEL_TIME, "%s", time_text(arena, entry->model_seconds));
        cvm_table_set(table, TIME, "%s", time_text(arena, entry->seconds));
    }
    if (changed || tuner->session->options->verbose) {
        cvm_table_print(table);
        putchar('\n');
    }
    printf("%d of %d choices are other than the model's, after %d rounds; %s took %s, takes %s "
           "(least of a run)\nrecorded in %s\n",
           changed, answered, tuner->round_count, what_text(tuner), time_text(arena, runs[0]),
           time_text(arena, runs[1]), path);
}

static void print_json(const Tuner *tuner, const double runs[2], const char *path) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "record", path);
    cJSON_AddNumberToObject(object, "rounds", tuner->round_count);
    cJSON_AddNumberToObject(object, "model_seconds", runs[0]);
    cJSON_AddNumberToObject(object, "seconds", runs[1]);
    cJSON *array = cJSON_AddArrayToObject(object, "choices");
    for (const CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next) {
        if (!entry->answer)
            continue;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(array, item);
        cJSON_AddStringToObject(item, "question", entry->question);
        cJSON_AddStringToObject(item, "layer", entry->layers[0]);
        cJSON_AddStringToObject(item, "model", entry->model);
        cJSON_AddStringToObject(item, "best", entry->answer);
        cJSON_AddNumberToObject(item, "model_seconds", entry->model_seconds);
        cJSON_AddNumberToObject(item, "seconds", entry->seconds);
    }
    cvm_report_json(object);
}

bool cvm_tune_options_agree(const CvmOptions *options) {
    if (options->no_cache || options->no_tuning)
        cvm_report_error("--tune writes to the user's cache: it does not go with --%s",
                         options->no_cache ? "no-cache" : "no-tune");
    else if (options->repeat || options->trace)
        cvm_report_error("--tune does not go with --%s", options->repeat ? "repeat" : "trace");
    else
        return true;
    return false;
}

bool cvm_tune(CvmSession *session) {
    double seconds = session->options->seconds ? (double)session->options->seconds : SECONDS;
    Tuner *tuner = CVM_NEW(session->arena, Tuner); /* as long as the session looks at its tuning */
    *tuner = (Tuner){.session = session,
                     .tuning = {.arena = session->arena, .collects = true},
                     .end = cvm_seconds() + seconds,
                     .round_seconds = fmin(ROUND_SECONDS, ROUND_SHARE * seconds)};
    const char *path;
    double runs[2];
    CvmError error;
    if (!session->compile.tuning_folder)
        return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                                  "there is no cache folder to record in: neither XDG_CACHE_HOME "
                                  "nor HOME is set");
    /* leaves the record as it is, and tells now what would go wrong in the end */
    if (!cvm_record_tuning(&session->compile, &tuner->tuning, &path, &error))
        return cvm_session_fail(session, &error);
    session->compile.tuning = &tuner->tuning;
    if (!run_rounds(tuner))
        return false;
    int index = 0;
    for (CvmTuningEntry *entry = tuner->tuning.first; entry; entry = entry->next)
        judge(tuner, entry, index++);
    if (!confirm(tuner, runs))
        return false;
    if (!cvm_record_tuning(&session->compile, &tuner->tuning, &path, &error))
        return cvm_session_fail(session, &error);
    (session->options->json ? print_json : print_text)(tuner, runs, path);
    return true;
}
