/* See picture_folder.h. */
#include "runtime/picture_folder.h"

#include "runtime/random.h"
#include "runtime/text.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const int64_t MAX_PICTURES = INT32_MAX;
enum { MAX_DEPTH = 16 }; /* of folders below a class; links can lead in a circle */

static bool no_memory(CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to list a folder of pictures");
}

static bool unreadable(const char *path, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot read the folder %.800s: %s", path,
                         strerror(errno));
}

static bool too_deep(const char *path, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_INPUT,
                         "%.800s: folders lie more than 16 deep; does a link lead in a circle?",
                         path);
}

/* --- names --- */

void cvm_names_free(CvmNames *names) {
    for (int64_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
    *names = (CvmNames){0};
}

/* Takes over `name`; NULL is a name there was no memory for. */
static bool add_name(CvmNames *names, char *name, CvmError *error) {
    if (name && (names->count & (names->count - 1)) == 0) { /* room for powers of two */
        int64_t room = names->count ? 2 * names->count : 1;
        char **list = realloc(names->list, (size_t)room * sizeof *list);
        names->list = list ? list : names->list;
        if (!list) {
            free(name);
            name = NULL;
        }
    }
    if (!name)
        return no_memory(error);
    names->list[names->count++] = name;
    return true;
}

static char *join(const char *folder, const char *name) {
    size_t length = strlen(folder), more = strlen(name);
    char *path = malloc(length + more + 2);
    if (!path)
        return NULL;
    memcpy(path, folder, length);
    path[length] = '/';
    memcpy(path + length + 1, name, more + 1);
    return path;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(CvmNames *names) {
    if (names->count)
        qsort(names->list, (size_t)names->count, sizeof *names->list, compare_names);
}

/* --- entries of one folder --- */

/* What an entry is, links followed. */
static mode_t type_of(const char *folder, const struct dirent *entry) {
    struct stat status = {0};
    if (entry->d_type == DT_REG)
        return S_IFREG;
    if (entry->d_type == DT_DIR)
        return S_IFDIR;
    char *path = join(folder, entry->d_name);
    if (path && stat(path, &status) != 0)
        status.st_mode = 0;
    free(path);
    return status.st_mode & S_IFMT;
}

static bool is_picture_name(const char *name) {
    static const char *const endings[] = {".png", ".jpg", ".jpeg"};
    const char *ending = strrchr(name, '.');
    for (int i = 0; ending && i < 3; i++)
        if (!strcasecmp(ending, endings[i]))
            return true;
    return false;
}

/* Entries that were passed over. */
typedef struct Skipped {
    int64_t count;
    char *first; /* the first that was met */
} Skipped;

/* Going through a folder for its class folders (type S_IFDIR), or for the pictures in it and in the
 * folders below it (S_IFREG). */
typedef struct Search {
    const char *root;
    mode_t type;
    CvmNames *names;
    Skipped *skipped;
    CvmError *error;
} Search;

static bool walk(const Search *search, const char *below, int depth);

static bool visit(const Search *search, const char *folder, const char *below, int depth,
                  const struct dirent *entry) {
    const char *name = entry->d_name;
    mode_t type = name[0] == '.' ? 0 : type_of(folder, entry);
    char *path = *below ? join(below, name) : strdup(name);
    if (!path)
        return no_memory(search->error);
    if (type == search->type && (type == S_IFDIR || is_picture_name(name)))
        return add_name(search->names, path, search->error);
    bool done = true;
    if (type == S_IFDIR)
        done = walk(search, path, depth + 1);
    else if (search->skipped->count++ == 0)
        search->skipped->first = join(folder, name);
    free(path);
    return done;
}

/* `below` the root; "": the root itself. */
static bool walk(const Search *search, const char *below, int depth) {
    char *folder = *below ? join(search->root, below) : strdup(search->root);
    if (!folder)
        return no_memory(search->error);
    DIR *stream = depth > MAX_DEPTH ? NULL : opendir(folder);
    bool sound = stream || (depth > MAX_DEPTH ? too_deep(folder, search->error)
                                              : unreadable(folder, search->error));
    const struct dirent *entry = NULL;
    while (sound && (errno = 0, entry = readdir(stream)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            sound = visit(search, folder, below, depth, entry);
    if (sound && errno)
        sound = unreadable(folder, search->error);
    if (stream)
        closedir(stream);
    free(folder);
    return sound;
}

/* Adds what is wanted of `folder`, sorted. */
static bool list_entries(const char *folder, mode_t type, CvmNames *names, Skipped *skipped,
                         CvmError *error) {
    bool sound = walk(&(Search){folder, type, names, skipped, error}, "", 0);
    sort_names(names);
    return sound;
}

static bool list_only(const char *path, mode_t type, const char *none, CvmNames *names,
                      CvmError *error) {
    Skipped skipped = {0};
    *names = (CvmNames){0};
    bool done = list_entries(path, type, names, &skipped, error);
    free(skipped.first);
    if (done && names->count == 0)
        done = cvm_error_set(error, CVM_ERROR_INPUT, "%.800s has no %s", path, none);
    if (!done)
        cvm_names_free(names);
    return done;
}

bool cvm_picture_classes(const char *path, CvmNames *classes, CvmError *error) {
    return list_only(path, S_IFDIR, "sub-folders, each of which would be a class", classes, error);
}

bool cvm_picture_names(const char *path, CvmNames *names, CvmError *error) {
    return list_only(path, S_IFREG, "PNG or JPEG files", names, error);
}

/* --- the pictures --- */

/* The folder while it is being listed. */
typedef struct Listing {
    CvmPictureFolder *folder;
    CvmNames found; /* its sub-folders */
    Skipped skipped;
    CvmError *error;
} Listing;

static bool add_pictures(Listing *listing, const char *class, CvmNames *names) {
    CvmPictureFolder *folder = listing->folder;
    if (folder->files.count + names->count > MAX_PICTURES)
        return cvm_error_set(listing->error, CVM_ERROR_INPUT, "%.800s has more than 2^31 pictures",
                             folder->path);
    for (int64_t i = 0; i < names->count; i++)
        if (!add_name(&folder->files, join(class, names->list[i]), listing->error))
            return false;
    return true;
}

static bool list_class(Listing *listing, const char *class) {
    char *path = join(listing->folder->path, class);
    CvmNames names = {0};
    bool done = path || no_memory(listing->error);
    done = done && list_entries(path, S_IFREG, &names, &listing->skipped, listing->error) &&
           add_pictures(listing, class, &names);
    cvm_names_free(&names);
    free(path);
    return done;
}

static bool has_name(const CvmNames *names, const char *name) {
    return names->count &&
           bsearch(&name, names->list, (size_t)names->count, sizeof *names->list, compare_names);
}

/* Whether every sub-folder is a class. */
static bool check_found(const Listing *listing, const char *const *classes, int class_count) {
    const CvmNames sorted = {.list = malloc(((size_t)class_count + 1) * sizeof *classes),
                             .count = class_count};
    if (!sorted.list)
        return no_memory(listing->error);
    memcpy(sorted.list, classes, (size_t)class_count * sizeof *classes);
    qsort(sorted.list, (size_t)class_count, sizeof *sorted.list, compare_names);
    const char *unknown = NULL;
    for (int64_t i = 0; !unknown && i < listing->found.count; i++)
        if (!has_name(&sorted, listing->found.list[i]))
            unknown = listing->found.list[i];
    free(sorted.list);
    return !unknown || cvm_error_set(listing->error, CVM_ERROR_INPUT,
                                     "%.600s has a sub-folder '%s', which is none of the classes",
                                     listing->folder->path, cvm_shown(unknown).text);
}

static bool lacks(const Listing *listing, const char *class, const char *what) {
    return cvm_error_set(listing->error, CVM_ERROR_INPUT, "%.600s has no %s for the class '%s'",
                         listing->folder->path, what, cvm_shown(class).text);
}

static bool label_pictures(CvmPictureFolder *folder, int64_t first, int32_t label) {
    int32_t *labels = realloc(folder->labels, ((size_t)folder->files.count + 1) * sizeof *labels);
    if (!labels)
        return false;
    for (int64_t i = first; i < folder->files.count; i++)
        labels[i] = label;
    folder->labels = labels;
    return true;
}

static bool list_classes(Listing *listing, const char *const *classes, int class_count,
                         bool complete) {
    CvmPictureFolder *folder = listing->folder;
    for (int i = 0; i < class_count; i++) {
        int64_t first = folder->files.count;
        if (!has_name(&listing->found, classes[i])) {
            if (complete)
                return lacks(listing, classes[i], "sub-folder");
            continue;
        }
        if (!list_class(listing, classes[i]))
            return false;
        if (complete && folder->files.count == first)
            return lacks(listing, classes[i], "picture");
        if (!label_pictures(folder, first, i))
            return no_memory(listing->error);
    }
    return folder->files.count > 0 ||
           cvm_error_set(listing->error, CVM_ERROR_INPUT, "%.800s holds no pictures", folder->path);
}

bool cvm_picture_folder_list(const char *path, const char *const *classes, int class_count,
                             bool complete, CvmPictureFolder *folder, CvmError *error) {
    *folder = (CvmPictureFolder){.path = strdup(path)};
    Listing listing = {.folder = folder, .error = error};
    bool done = folder->path || no_memory(error);
    done = done && list_entries(path, S_IFDIR, &listing.found, &listing.skipped, error) &&
           check_found(&listing, classes, class_count) &&
           list_classes(&listing, classes, class_count, complete);
    cvm_names_free(&listing.found);
    folder->skipped = listing.skipped.count;
    folder->first_skipped = listing.skipped.first;
    if (!done)
        cvm_picture_folder_free(folder);
    return done;
}

void cvm_picture_folder_free(CvmPictureFolder *folder) {
    cvm_names_free(&folder->files);
    free(folder->labels);
    free(folder->path);
    free(folder->first_skipped);
    *folder = (CvmPictureFolder){0};
}

/* --- dividing them --- */

/* A picture's lot: those of a class with the least numbers are held out. */
typedef struct Lot {
    uint64_t number;
    int64_t picture;
} Lot;

static int compare_lots(const void *a, const void *b) {
    const Lot *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->picture < y->picture ? -1 : x->picture > y->picture;
}

static uint64_t draw(const char *name, uint64_t seed) {
    uint32_t drawn[4];
    cvm_philox(seed, cvm_random_stream("split"), cvm_random_stream(name), drawn);
    return (uint64_t)drawn[0] << 32 | drawn[1];
}

/* Marks the held-out ones of the class's pictures first … first + count - 1. */
static void divide(const CvmPictureFolder *folder, int64_t first, int64_t count, double fraction,
                   uint64_t seed, Lot *lots, bool *held_out) {
    int64_t wanted = llrint(fraction * (double)count);
    wanted = wanted < 1 ? 1 : wanted > count - 1 ? count - 1 : wanted;
    for (int64_t i = 0; i < count; i++)
        lots[i] = (Lot){draw(folder->files.list[first + i], seed), first + i};
    qsort(lots, (size_t)count, sizeof *lots, compare_lots);
    for (int64_t i = 0; i < count; i++)
        held_out[lots[i].picture] = i < wanted;
}

static void keep(CvmPictureFolder *folder, const bool *held_out, bool which) {
    int64_t kept = 0;
    for (int64_t i = 0; i < folder->files.count; i++) {
        if (held_out[i] != which) {
            free(folder->files.list[i]);
            continue;
        }
        folder->files.list[kept] = folder->files.list[i];
        folder->labels[kept++] = folder->labels[i];
    }
    folder->files.count = kept;
}

bool cvm_picture_folder_split(CvmPictureFolder *folder, double fraction, uint64_t seed,
                              bool held_out, CvmError *error) {
    int64_t count = folder->files.count;
    Lot *lots = malloc((size_t)count * sizeof *lots);
    bool *marks = malloc((size_t)count * sizeof *marks);
    bool done = (lots && marks) || no_memory(error);
    for (int64_t first = 0, end = 0; done && first < count; first = end) {
        while (end < count && folder->labels[end] == folder->labels[first])
            end++;
        if (end - first < 2)
            done = cvm_error_set(error, CVM_ERROR_INPUT,
                                 "%.600s/%s is the only picture of its class, so that there is "
                                 "nothing to split",
                                 folder->path, cvm_shown(folder->files.list[first]).text);
        else
            divide(folder, first, end - first, fraction, seed, lots, marks);
    }
    if (done)
        keep(folder, marks, held_out);
    free(lots);
    free(marks);
    return done;
}
