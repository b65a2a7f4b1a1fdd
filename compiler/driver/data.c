/* See data.h. */
#include "compiler/driver/data.h"

#include "compiler/driver/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PLACES = 4 };
static const char system_place[] = "/usr/share/datasets";

typedef struct Places {
    char paths[MAX_PLACES][CVM_PATH_SIZE];
    int count;
} Places;

static void add_place(Places *places, const char *path) {
    if (path && *path)
        snprintf(places->paths[places->count++], CVM_PATH_SIZE, "%s", path);
}

static void list_places(const CvmSession *session, Places *places) {
    places->count = 0;
    if (session->options->data) {
        add_place(places, session->options->data);
        return;
    }
    add_place(places, getenv("CVM_DATA"));
    add_place(places, system_place);
    char folder[CVM_PATH_SIZE];
    cvm_session_folder(session, folder);
    add_place(places, folder);
}

/* FOLDER/NAME and an ending; false when that is too long for a path. */
static bool join(const char *folder, const char *name, const char *ending,
                 char path[CVM_PATH_SIZE]) {
    return snprintf(path, CVM_PATH_SIZE, "%s/%s%s", folder, name, ending) < CVM_PATH_SIZE;
}

/* The file in the folder, plain or .gz; false when neither is there: then `path` is the plain
 * one's, for messages. */
static bool find_file(const char *folder, const char *name, char path[CVM_PATH_SIZE]) {
    static const char *const endings[] = {".gz", ""};
    for (int i = 0; i < 2; i++)
        if (join(folder, name, endings[i], path) && access(path, F_OK) == 0)
            return true;
    return false;
}

typedef struct Pair {
    char images[CVM_PATH_SIZE], labels[CVM_PATH_SIZE];
} Pair;

/* A folder that has one of the two files is the data set's; a missing other one is then an error
 * of reading it rather than a reason to mix it with another folder's. */
static bool find_pair(const char *folder, const char *images, const char *labels, Pair *pair) {
    bool has_images = find_file(folder, images, pair->images);
    bool has_labels = find_file(folder, labels, pair->labels);
    return has_images || has_labels;
}

static bool find_in_places(const Places *places, const CvmData *data, const char *images,
                           const char *labels, Pair *pair) {
    for (int i = 0; i < places->count; i++) {
        char folder[CVM_PATH_SIZE];
        if (data->folder && *data->folder && join(places->paths[i], data->folder, "", folder) &&
            find_pair(folder, images, labels, pair))
            return true;
        if (find_pair(places->paths[i], images, labels, pair))
            return true;
    }
    return false;
}

static bool report_missing(CvmSession *session, const Places *places, const CvmData *data,
                           const char *images) {
    const char *text = "";
    for (int i = 0; i < places->count; i++)
        text = cvm_arena_format(session->arena, "%s\n  %s/%s%s%s", text, places->paths[i],
                                data->folder ? data->folder : "", data->folder ? "/" : "", images);
    const char *package = "";
    if (data->folder && strcmp(data->folder, "fashion-mnist") == 0)
        package = "apt install dataset-fashion-mnist, or ";
    return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                              "the data set %s is not on this machine; looked for (also with .gz, "
                              "and without its folder)%s\nget it: %sput its four files into a "
                              "folder and name that with --data DIR or CVM_DATA",
                              data->name, text, package);
}

bool cvm_session_read_data(CvmSession *session, CvmDataPart part, CvmDataset *dataset) {
    const CvmData *data = session->train->data;
    const char *images = part == CVM_DATA_TRAIN ? data->train_images : data->test_images;
    const char *labels = part == CVM_DATA_TRAIN ? data->train_labels : data->test_labels;
    Places places;
    Pair pair;
    CvmError error;
    list_places(session, &places);
    if (!find_in_places(&places, data, images, labels, &pair))
        return report_missing(session, &places, data, images);
    if (!cvm_dataset_read_idx(pair.images, pair.labels, data->image, data->classes, dataset,
                              &error))
        return cvm_session_fail(session, &error);
    if (session->options->verbose)
        cvm_report_note("%s: %lld pictures", pair.images, (long long)dataset->count);
    if (dataset->count > 0)
        return true;
    cvm_dataset_free(dataset);
    return cvm_session_refuse(session, CVM_EXIT_INPUT, "%s holds no pictures", pair.images);
}

bool cvm_session_normalization(CvmSession *session, const CvmDataset *pictures,
                               CvmNormalization *normalization) {
    CvmDataset read;
    if (session->train->normalize.kind != CVM_NORMALIZE_MEAN_OF_TRAIN) {
        *normalization = session->train->normalize.stated;
        return true;
    }
    if (pictures) {
        *normalization = cvm_normalization_of(pictures);
        return true;
    }
    if (!cvm_session_read_data(session, CVM_DATA_TRAIN, &read))
        return false;
    *normalization = cvm_normalization_of(&read);
    cvm_dataset_free(&read);
    return true;
}
