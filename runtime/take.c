/* See dataset.h: some of a data set's pictures, as many of each class as of another. All are put in
 * a random order; of each class the first come in, then the second, and so on. */
#include "runtime/dataset.h"
#include "runtime/random.h"

#include <stdlib.h>
#include <string.h>

/* A picture on the way: its number within its class, and its place in the random order. */
typedef struct Candidate {
    int32_t turn, place, sample;
} Candidate;

static int compare(const void *a, const void *b) {
    const Candidate *one = a, *other = b;
    if (one->turn != other->turn)
        return one->turn < other->turn ? -1 : 1;
    return (one->place > other->place) - (one->place < other->place);
}

bool cvm_take(const int32_t *labels, int64_t count, int classes, int64_t wanted, uint64_t seed,
              bool *taken, CvmError *error) {
    if (wanted > count)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%lld pictures are to be taken, and there are %lld to learn from",
                             (long long)wanted, (long long)count);
    int32_t *order = malloc((size_t)count * sizeof *order);
    int32_t *turns = calloc((size_t)classes + 1, sizeof *turns);
    Candidate *candidates = malloc((size_t)count * sizeof *candidates);
    bool done = order && turns && candidates;
    if (done) {
        cvm_shuffle(order, count, seed, cvm_random_stream("take"));
        for (int64_t i = 0; i < count; i++)
            candidates[i] = (Candidate){turns[labels[order[i]]]++, (int32_t)i, order[i]};
        qsort(candidates, (size_t)count, sizeof *candidates, compare);
        memset(taken, 0, (size_t)count * sizeof *taken);
        for (int64_t i = 0; i < wanted; i++)
            taken[candidates[i].sample] = true;
    }
    free(order);
    free(turns);
    free(candidates);
    return done || cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to choose pictures");
}

bool cvm_dataset_take(CvmDataset *dataset, int64_t wanted, uint64_t seed, CvmError *error) {
    int64_t bytes = (int64_t)dataset->channels * dataset->height * dataset->width, kept = 0;
    bool *taken = malloc((size_t)dataset->count * sizeof *taken);
    bool done = taken ? cvm_take(dataset->labels, dataset->count, dataset->classes, wanted, seed,
                                 taken, error)
                      : cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to choose pictures");
    for (int64_t i = 0; done && i < dataset->count; i++) {
        if (!taken[i])
            continue;
        memmove(dataset->pixels + kept * bytes, dataset->pixels + i * bytes, (size_t)bytes);
        dataset->labels[kept++] = dataset->labels[i];
    }
    if (done)
        dataset->count = kept;
    free(taken);
    return done;
}

bool cvm_picture_folder_take(CvmPictureFolder *folder, int classes, int64_t wanted, uint64_t seed,
                             CvmError *error) {
    int64_t kept = 0;
    bool *taken = malloc((size_t)folder->files.count * sizeof *taken);
    bool done =
        taken ? cvm_take(folder->labels, folder->files.count, classes, wanted, seed, taken, error)
              : cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to choose pictures");
    for (int64_t i = 0; done && i < folder->files.count; i++) {
        if (!taken[i]) {
            free(folder->files.list[i]);
            continue;
        }
        folder->files.list[kept] = folder->files.list[i];
        folder->labels[kept++] = folder->labels[i];
    }
    if (done)
        folder->files.count = kept;
    free(taken);
    return done;
}
