/* See checkpoint.h. The tensors' types in the file are those of the store, so that saving and
 * loading are copies; only the order of what is kept as filters changes. Loading first reads the
 * metadata, then compares every tensor, and copies only when nothing is wrong. */
#include "runtime/checkpoint.h"

#include "runtime/averages.h"
#include "runtime/text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_COUNT = 10, TEXT_BYTES = 128, LISTED_TENSORS = 3 };

static const char OPTIMIZER_PREFIX[] = "optimizer.";

static CvmFileDtype file_dtype(CvmDtype dtype) {
    return dtype == CVM_F32 ? CVM_FILE_F32 : CVM_FILE_I32;
}

/* Numbers are written and read with a point, whatever the program's language is. */
typedef struct Numerals {
    locale_t own, before;
} Numerals;

static Numerals use_points(void) {
    Numerals numerals = {.own = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0)};
    numerals.before = numerals.own ? uselocale(numerals.own) : (locale_t)0;
    return numerals;
}

static void use_as_before(Numerals numerals) {
    if (!numerals.own)
        return;
    uselocale(numerals.before);
    freelocale(numerals.own);
}

/* Saving */

/* "0.28604,0.35302": 17 digits give the same double back. */
static void print_list(char text[TEXT_BYTES], const double *values, int count) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < TEXT_BYTES; i++)
        used +=
            (size_t)snprintf(text + used, TEXT_BYTES - used, "%s%.17g", i ? "," : "", values[i]);
}

/* The texts that metadata rows point into. */
typedef struct InfoTexts {
    char hash[TEXT_BYTES], epoch[TEXT_BYTES], seed[TEXT_BYTES], accuracy[TEXT_BYTES];
    char mean[TEXT_BYTES], deviation[TEXT_BYTES], plateau[TEXT_BYTES];
} InfoTexts;

/* How many rows there are: those without a value are left out. */
static int describe(const CvmCheckpointInfo *info, InfoTexts *texts,
                    CvmFileText metadata[KEY_COUNT]) {
    const CvmNormalization *normalization = &info->normalization;
    snprintf(texts->hash, TEXT_BYTES, "%016" PRIx64, info->model_hash);
    snprintf(texts->epoch, TEXT_BYTES, "%d", info->epoch);
    snprintf(texts->seed, TEXT_BYTES, "%" PRIu64, info->seed);
    print_list(texts->accuracy, &info->accuracy, 1);
    const CvmPlateau *plateau = &info->plateau;
    const double seen[] = {plateau->best, plateau->waited, plateau->falls};
    print_list(texts->plateau, seen, isfinite(plateau->best) ? 3 : 0);
    print_list(texts->mean, normalization->mean, normalization->channels);
    print_list(texts->deviation, normalization->deviation, normalization->channels);
    const CvmFileText rows[KEY_COUNT] = {
        {"cvm.model", info->model},        {"cvm.model_hash", texts->hash},
        {"cvm.epoch", texts->epoch},       {"cvm.seed", texts->seed},
        {"cvm.mean", texts->mean},         {"cvm.deviation", texts->deviation},
        {"cvm.accuracy", texts->accuracy}, {"cvm.plateau", texts->plateau},
        {"cvm.classes", info->classes},    {"cvm.history", info->history},
    };
    int count = 0;
    for (int i = 0; i < KEY_COUNT; i++)
        if (rows[i].value)
            metadata[count++] = rows[i];
    return count;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const CvmFileTensor *)a)->name, ((const CvmFileTensor *)b)->name);
}

/* The store's tensors as the file has them. names[]: room for those that differ, to be freed; false
 * without memory. */
static bool list_tensors(const CvmStore *store, CvmFileTensor *tensors, char **names, int *count) {
    for (int i = 0; i < store->count; i++) {
        const CvmStored *stored = &store->tensors[i];
        const CvmStored *weight = cvm_averaged_weight(store, stored->name);
        const char *name = weight ? weight->name : stored->name;
        if (stored->kind == CVM_SLOT_GRADIENT) /* all zero between two steps */
            continue;
        if (stored->kind == CVM_SLOT_PARAMETER && cvm_average_of(store, name)) {
            name = names[i] = cvm_raw_weight_name(name);
            if (!name)
                return false;
        }
        tensors[(*count)++] = (CvmFileTensor){.name = name,
                                              .dtype = file_dtype(stored->dtype),
                                              .shape = stored->shape,
                                              .data = stored->data,
                                              .bytes = cvm_stored_bytes(stored),
                                              .lanes = stored->lanes};
    }
    qsort(tensors, (size_t)*count, sizeof *tensors, compare_names);
    return true;
}

bool cvm_checkpoint_save(const char *path, const CvmStore *store, const CvmCheckpointInfo *info,
                         CvmError *error) {
    CvmFileTensor *tensors = calloc((size_t)store->count + 1, sizeof *tensors);
    char **names = calloc((size_t)store->count + 1, sizeof *names);
    int count = 0;
    bool done = tensors && names && list_tensors(store, tensors, names, &count);
    if (!done) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to write %.800s", path);
    } else {
        InfoTexts texts;
        CvmFileText metadata[KEY_COUNT];
        Numerals numerals = use_points();
        int keys = describe(info, &texts, metadata);
        use_as_before(numerals);
        done = cvm_tensor_file_write(path, tensors, count, metadata, keys, error);
    }
    for (int i = 0; names && i < store->count; i++)
        free(names[i]);
    free(names);
    free(tensors);
    return done;
}

/* Loading: metadata */

static bool parse_double(const char **text, double *value) {
    char *end;
    if (**text == ' ' || **text == '\0')
        return false;
    *value = strtod(*text, &end);
    bool parsed = end != *text && isfinite(*value);
    *text = end;
    return parsed;
}

/* A list of 1 to CVM_MAX_CHANNELS finite numbers; its length, or 0. */
static int parse_list(const char *text, double *values) {
    int count = 0;
    while (count < CVM_MAX_CHANNELS && parse_double(&text, &values[count])) {
        count++;
        if (*text == '\0')
            return count;
        if (*text++ != ',')
            return 0;
    }
    return 0;
}

static bool parse_normalization(const char *mean, const char *deviation,
                                CvmNormalization *normalization) {
    normalization->channels = parse_list(mean, normalization->mean);
    if (normalization->channels == 0 ||
        parse_list(deviation, normalization->deviation) != normalization->channels)
        return false;
    for (int c = 0; c < normalization->channels; c++)
        if (normalization->deviation[c] <= 0)
            return false;
    return true;
}

static bool parse_whole(const char *text, int base, uint64_t limit, uint64_t *value) {
    char *end;
    if (text[0] == '\0' || strspn(text, "0123456789abcdef") != strlen(text))
        return false;
    errno = 0;
    *value = strtoull(text, &end, base);
    return *end == '\0' && errno == 0 && *value <= limit;
}

static bool parse_accuracy(const char *text, double *accuracy) {
    return parse_double(&text, accuracy) && *text == '\0' && *accuracy <= 1;
}

/* Empty where no loss has been seen, and in files of before there were such rates. */
static bool parse_plateau(const char *text, CvmPlateau *plateau) {
    double seen[CVM_MAX_CHANNELS];
    *plateau = cvm_plateau_begin();
    if (*text == '\0')
        return true;
    if (parse_list(text, seen) != 3 || !(seen[1] >= 0 && seen[1] <= INT_MAX) ||
        !(seen[2] >= 0 && seen[2] <= INT_MAX))
        return false;
    *plateau = (CvmPlateau){seen[0], (int)seen[1], (int)seen[2]};
    return true;
}

static const char *metadata_or_empty(const CvmTensorFile *file, const char *key) {
    const char *value = cvm_tensor_file_metadata(file, key);
    return value ? value : "";
}

static bool read_info(const CvmTensorFile *file, const char *path, CvmCheckpointInfo *info,
                      CvmError *error) {
    const char *model = cvm_tensor_file_metadata(file, "cvm.model");
    uint64_t epoch = 0;
    *info = (CvmCheckpointInfo){0};
    if (!model || strlen(model) >= sizeof info->model)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%.800s is not a checkpoint of cvm: it does not name its model", path);
    const struct {
        const char *key;
        bool good;
    } checks[] = {
        {"cvm.model_hash",
         parse_whole(metadata_or_empty(file, "cvm.model_hash"), 16, UINT64_MAX, &info->model_hash)},
        {"cvm.epoch", parse_whole(metadata_or_empty(file, "cvm.epoch"), 10, INT_MAX, &epoch)},
        {"cvm.seed", parse_whole(metadata_or_empty(file, "cvm.seed"), 10, UINT64_MAX, &info->seed)},
        {"cvm.mean and cvm.deviation",
         parse_normalization(metadata_or_empty(file, "cvm.mean"),
                             metadata_or_empty(file, "cvm.deviation"), &info->normalization)},
        {"cvm.accuracy", parse_accuracy(metadata_or_empty(file, "cvm.accuracy"), &info->accuracy)},
        {"cvm.plateau", parse_plateau(metadata_or_empty(file, "cvm.plateau"), &info->plateau)},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (!checks[i].good)
            return cvm_error_set(error, CVM_ERROR_INPUT,
                                 "%.800s is a damaged checkpoint: its %s is missing or no sensible "
                                 "value",
                                 path, checks[i].key);
    strcpy(info->model, model);
    info->epoch = (int)epoch;
    return true;
}

bool cvm_checkpoint_info_of(const CvmTensorFile *file, const char *path, CvmCheckpointInfo *info,
                            CvmError *error) {
    Numerals numerals = use_points();
    bool done = read_info(file, path, info, error);
    use_as_before(numerals);
    return done;
}

bool cvm_checkpoint_read_info(const char *path, CvmCheckpointInfo *info, CvmError *error) {
    CvmTensorFile file;
    if (!cvm_tensor_file_open(path, &file, error))
        return false;
    bool done = cvm_checkpoint_info_of(&file, path, info, error);
    cvm_tensor_file_close(&file);
    return done;
}

/* Loading: tensors */

/* The differences between file and store: how many, and the first few in words. */
typedef struct Differences {
    int count;
    char text[600];
} Differences;

static void note(Differences *differences, const char *name, const char *in_file,
                 const char *in_model) {
    if (differences->count++ >= LISTED_TENSORS)
        return;
    size_t used = strlen(differences->text);
    snprintf(differences->text + used, sizeof differences->text - used,
             "%s%s is %s in the file, %s in the model", used ? "; " : "", cvm_shown(name).text,
             in_file, in_model);
}

static void compare_tensor(const CvmStored *stored, const CvmFileTensor *tensor,
                           Differences *differences) {
    char have[160] = "missing", want[160], shape[128];
    snprintf(want, sizeof want, "%s %s", cvm_file_dtype_name(file_dtype(stored->dtype)),
             cvm_shape_text(&stored->shape, shape, sizeof shape));
    if (tensor)
        snprintf(have, sizeof have, "%s %s", cvm_file_dtype_name(tensor->dtype),
                 cvm_shape_text(&tensor->shape, shape, sizeof shape));
    if (strcmp(have, want) != 0)
        note(differences, stored->name, have, want);
}

/* What the file has for a tensor of the store. */
static const CvmFileTensor *find_tensor(const CvmTensorFile *file, const CvmStore *store,
                                        const CvmStored *stored, CvmCheckpointUse use) {
    const CvmStored *weight = cvm_averaged_weight(store, stored->name);
    const CvmFileTensor *raw =
        use == CVM_CHECKPOINT_WEIGHTS ? NULL : cvm_raw_weight(file, stored->name);
    if (weight) /* without the raw one, there are no averages */
        return cvm_raw_weight(file, weight->name) ? cvm_tensor_file_find(file, weight->name) : NULL;
    return raw ? raw : cvm_tensor_file_find(file, stored->name);
}

static void compare_tensors(const CvmTensorFile *file, const CvmStore *store, CvmCheckpointUse use,
                            Differences *differences) {
    for (int i = 0; i < store->count; i++) {
        const CvmStored *stored = &store->tensors[i];
        const CvmFileTensor *tensor = find_tensor(file, store, stored, use);
        bool needed = stored->kind == CVM_SLOT_OPTIMIZER ? use == CVM_CHECKPOINT_RESUME
                                                         : stored->kind != CVM_SLOT_GRADIENT;
        if (tensor || needed)
            compare_tensor(stored, tensor, differences);
    }
    for (int i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        bool optimizer = strncmp(name, OPTIMIZER_PREFIX, sizeof OPTIMIZER_PREFIX - 1) == 0;
        char shape[128];
        if (!optimizer && !cvm_store_find(store, name))
            note(differences, name, cvm_shape_text(&file->tensors[i].shape, shape, sizeof shape),
                 "not present");
    }
}

static bool refuse(const char *path, const CvmCheckpointInfo *info, const char *model, bool other,
                   const Differences *differences, CvmError *error) {
    char what[400];
    if (!other)
        snprintf(what, sizeof what, "does not fit the model %.128s", model);
    else if (strcmp(info->model, model) != 0)
        snprintf(what, sizeof what, "is a checkpoint of another model (%s, not %.128s)",
                 cvm_shown(info->model).text, model);
    else
        snprintf(what, sizeof what,
                 "is a checkpoint of another model (%s with different layers or settings)",
                 cvm_shown(model).text);
    char more[32] = "";
    if (differences->count > LISTED_TENSORS)
        snprintf(more, sizeof more, "; %d more", differences->count - LISTED_TENSORS);
    return cvm_error_set(error, CVM_ERROR_INPUT, "%.300s %s%s%s%s", path, what,
                         differences->count ? ": " : "", differences->text, more);
}

static void copy_tensors(const CvmTensorFile *file, CvmStore *store, CvmCheckpointUse use) {
    for (int i = 0; i < store->count; i++) {
        const CvmFileTensor *tensor = find_tensor(file, store, &store->tensors[i], use);
        if (tensor && tensor->bytes > 0)
            cvm_stored_write(&store->tensors[i], tensor->data);
    }
}

static bool has_averages(const CvmTensorFile *file, const CvmStore *store) {
    for (int i = 0; i < store->count; i++)
        if (cvm_raw_weight(file, store->tensors[i].name))
            return true;
    return false;
}

/* NULL where there is none; false without memory. */
static bool copy_text(const CvmTensorFile *file, const char *key, char **copy) {
    const char *text = cvm_tensor_file_metadata(file, key);
    *copy = text ? strdup(text) : NULL;
    return !text || *copy;
}

static bool load(const CvmTensorFile *file, const char *path, CvmStore *store, const char *model,
                 uint64_t model_hash, CvmCheckpointUse use, CvmCheckpointInfo *info,
                 CvmError *error) {
    CvmCheckpointInfo found;
    Differences differences = {0};
    if (!cvm_checkpoint_info_of(file, path, &found, error))
        return false;
    compare_tensors(file, store, use, &differences);
    bool other = found.model_hash != model_hash;
    if (other || differences.count > 0)
        return refuse(path, &found, model, other, &differences, error);
    if (use == CVM_CHECKPOINT_RAW && !has_averages(file, store))
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%.800s has no averages: its weights are the raw ones", path);
    if (!copy_text(file, "cvm.classes", &found.classes) ||
        !copy_text(file, "cvm.history", &found.history)) {
        free(found.classes);
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to read %.800s", path);
    }
    copy_tensors(file, store, use);
    *info = found;
    return true;
}

bool cvm_checkpoint_load(const char *path, CvmStore *store, const char *model, uint64_t model_hash,
                         CvmCheckpointUse use, CvmCheckpointInfo *info, CvmError *error) {
    CvmTensorFile file;
    if (!cvm_tensor_file_open(path, &file, error))
        return false;
    bool done = load(&file, path, store, model, model_hash, use, info, error);
    cvm_tensor_file_close(&file);
    return done;
}
