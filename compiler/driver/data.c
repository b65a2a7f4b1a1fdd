/* See data.h. */
#include "compiler/driver/data.h"

#include "compiler/driver/class_names.h"
#include "compiler/driver/report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* The files of a part, found. */
typedef struct Found {
    char paths[CVM_MAX_DATA_FILES][CVM_PATH_SIZE];
    int count;
} Found;

static bool find_folder(const char *place, const char *name, char path[CVM_PATH_SIZE]) {
    struct stat status;
    bool fits = *name ? join(place, name, "", path)
                      : snprintf(path, CVM_PATH_SIZE, "%s", place) < CVM_PATH_SIZE;
    return fits && stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* A folder that has one of the files is the data set's; a missing other one is then an error of
 * reading it rather than a reason to mix it with another folder's. */
static bool find_files(const CvmData *data, const CvmDataFiles *files, const char *place,
                       Found *found) {
    bool any = false;
    found->count = files->count;
    for (int i = 0; i < files->count; i++) {
        bool (*find)(const char *, const char *, char *) =
            data->kind == CVM_DATA_FOLDER ? find_folder : find_file;
        any |= find(place, files->names[i], found->paths[i]);
    }
    return any;
}

/* Any folder has sub-folders: without the data set's own name, only the one that the command line
 * names counts as a folder to split. */
static bool find_in_places(const CvmSession *session, const Places *places, CvmDataPart part,
                           Found *found) {
    static const CvmDataFiles itself = {{""}, 1};
    const CvmData *data = session->train->data;
    const CvmDataFiles *files = data->split > 0 ? &itself : &data->parts[part];
    bool named = data->folder && *data->folder;
    if (named && data->folder[0] == '/')
        return find_files(data, files, data->folder, found);
    for (int i = 0; i < places->count; i++) {
        char folder[CVM_PATH_SIZE];
        if (named && join(places->paths[i], data->folder, "", folder) &&
            find_files(data, files, folder, found))
            return true;
        if ((files != &itself || session->options->data) &&
            find_files(data, files, places->paths[i], found))
            return true;
    }
    return false;
}

static bool report_missing(CvmSession *session, const Places *places, CvmDataPart part) {
    const CvmData *data = session->train->data;
    const char *folder = data->folder ? data->folder : "";
    const char *file = data->split > 0 ? "" : data->parts[part].names[0];
    const char *text = "", *slash = *folder && *file ? "/" : "";
    if (*folder == '/')
        text = cvm_arena_format(session->arena, "\n  %s%s%s", folder, slash, file);
    for (int i = 0; *folder != '/' && i < places->count; i++)
        text = cvm_arena_format(session->arena, "%s\n  %s/%s%s%s", text, places->paths[i], folder,
                                slash, file);
    if (data->kind == CVM_DATA_FOLDER)
        return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                                  "the data set %s is not on this machine; looked for%s\nname the "
                                  "folder that has it with --data DIR or CVM_DATA",
                                  data->name, text);
    const char *package = "";
    if (strcmp(folder, "fashion-mnist") == 0)
        package = "apt install dataset-fashion-mnist, or ";
    return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                              "the data set %s is not on this machine; looked for (also with .gz, "
                              "and without its folder)%s\nget it: %sput its files into a folder "
                              "and name that with --data DIR or CVM_DATA",
                              data->name, text, package);
}

/* --- folders of pictures --- */

/* The classes that a folder without declared ones has: the sub-folders that are learned from. */
static bool name_classes(CvmSession *session, const Places *places) {
    const CvmData *data = session->train->data;
    CvmError error;
    CvmNames names;
    Found found;
    if (session->folders)
        return true;
    if (data->class_names) {
        session->folders = data->class_names;
        session->folder_count = data->classes;
        return true;
    }
    if (!find_in_places(session, places, CVM_DATA_TRAIN, &found))
        return report_missing(session, places, CVM_DATA_TRAIN);
    if (!cvm_picture_classes(found.paths[0], &names, &error))
        return cvm_session_fail(session, &error);
    int count = (int)names.count;
    const char **copies = cvm_arena_array(session->arena, (size_t)count, sizeof *copies);
    for (int i = 0; i < count; i++)
        copies[i] = cvm_arena_format(session->arena, "%s", names.list[i]);
    cvm_names_free(&names);
    if (count != session->train->classes)
        return cvm_session_refuse(session, CVM_EXIT_INPUT,
                                  "%s has %d sub-folders, each of which is a class, and %s tells "
                                  "%d classes apart",
                                  found.paths[0], count, cvm_model_name(session->model),
                                  session->train->classes);
    session->folders = copies;
    session->folder_count = count;
    cvm_session_name_classes(session, copies, count);
    return true;
}

static void report_unreadable(void *context, const char *message) {
    (void)context;
    cvm_report_note("%s", message);
}

static bool list_folder(CvmSession *session, const char *path, CvmDataPart part,
                        CvmPictureFolder *folder) {
    const CvmData *data = session->train->data;
    CvmError error;
    bool complete = part == CVM_DATA_TRAIN || data->split > 0;
    if (!cvm_picture_folder_list(path, session->folders, session->folder_count, complete, folder,
                                 &error))
        return cvm_session_fail(session, &error);
    if (folder->skipped && (part == CVM_DATA_TRAIN || data->split == 0))
        cvm_report_note("%s: %lld entries are no pictures and are passed over, such as %s", path,
                        (long long)folder->skipped,
                        folder->first_skipped ? folder->first_skipped : path);
    if (data->split == 0 ||
        cvm_picture_folder_split(folder, data->split, data->seed, part == CVM_DATA_TEST, &error))
        return true;
    cvm_picture_folder_free(folder);
    return cvm_session_fail(session, &error);
}

static bool read_folder(CvmSession *session, const Places *places, const char *path,
                        CvmDataPart part, CvmDataset *dataset) {
    CvmError error;
    CvmPictureFolder folder;
    const CvmTrain *train = session->train;
    const CvmFolderReading reading = {.preparation = part == CVM_DATA_TRAIN
                                                         ? cvm_train_preparation(train)
                                                         : train->data->preparation,
                                      .classes = session->train->classes,
                                      .keep_bytes = CVM_KEPT_PICTURE_BYTES,
                                      .pool = cvm_session_pool(session),
                                      .report = report_unreadable};
    if (!reading.pool || !name_classes(session, places) ||
        !list_folder(session, path, part, &folder))
        return false;
    if (part == CVM_DATA_TRAIN && session->train->take &&
        !cvm_picture_folder_take(&folder, session->train->classes, session->train->take,
                                 session->train->seed, &error)) {
        cvm_picture_folder_free(&folder);
        return cvm_session_fail(session, &error);
    }
    return cvm_dataset_read_folder(&folder, &reading, dataset, &error) ||
           cvm_session_fail(session, &error);
}

/* --- any data set --- */

static bool read_cifar(const CvmData *data, const Found *found, CvmDataset *dataset,
                       CvmError *error) {
    const char *paths[CVM_MAX_DATA_FILES];
    CvmCifarKind kind = data->kind == CVM_DATA_CIFAR10         ? CVM_CIFAR10
                        : data->kind == CVM_DATA_CIFAR100_FINE ? CVM_CIFAR100_FINE
                                                               : CVM_CIFAR100_COARSE;
    for (int i = 0; i < found->count; i++)
        paths[i] = found->paths[i];
    return cvm_dataset_read_cifar(kind, paths, found->count, data->classes, dataset, error);
}

bool cvm_session_has_data(const CvmSession *session, CvmDataPart part) {
    Places places;
    Found found;
    list_places(session, &places);
    return find_in_places(session, &places, part, &found);
}

bool cvm_session_read_data(CvmSession *session, CvmDataPart part, CvmDataset *dataset) {
    const CvmData *data = session->train->data;
    Places places;
    Found found;
    CvmError error;
    list_places(session, &places);
    if (!find_in_places(session, &places, part, &found))
        return report_missing(session, &places, part);
    bool read;
    if (data->kind == CVM_DATA_FOLDER) {
        if (!read_folder(session, &places, found.paths[0], part, dataset))
            return false;
        read = true;
    } else if (data->kind == CVM_DATA_IDX) {
        read = cvm_dataset_read_idx(found.paths[0], found.paths[1], data->image, data->classes,
                                    dataset, &error);
    } else {
        read = read_cifar(data, &found, dataset, &error);
    }
    if (!read)
        return cvm_session_fail(session, &error);
    if (part == CVM_DATA_TRAIN && session->train->take && data->kind != CVM_DATA_FOLDER &&
        !cvm_dataset_take(dataset, session->train->take, session->train->seed, &error)) {
        cvm_dataset_free(dataset);
        return cvm_session_fail(session, &error);
    }
    if (session->options->verbose)
        cvm_report_note("%s: %lld pictures%s", found.paths[0], (long long)dataset->count,
                        dataset->pixels ? "" : ", too many for memory: read for each batch");
    return true;
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
