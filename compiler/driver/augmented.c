/* See augmented.h. The variants are those that the train's own seed draws: the very pictures that
 * cvmc train learns from. */
#include "compiler/driver/augmented.h"

#include "compiler/driver/class_names.h"
#include "compiler/driver/data.h"
#include "compiler/driver/gallery.h"
#include "compiler/driver/report.h"

#include <string.h>

enum { DEFAULT_COUNT = 5 };

/* A row while it is made. */
typedef struct Variants {
    CvmSession *session;
    const CvmDataset *data;
    CvmAugmentation augmentation;
    uint8_t *picture; /* as it is stored */
    uint8_t *memory;  /* to augment in */
} Variants;

static CvmImage new_picture(const Variants *variants) {
    CvmImage picture = {variants->data->channels, variants->augmentation.height,
                        variants->augmentation.width, NULL};
    picture.pixels =
        cvm_arena_alloc(variants->session->arena,
                        (size_t)picture.channels * (size_t)picture.height * (size_t)picture.width);
    return picture;
}

/* The middle of a picture, which is all of it where it is not cropped at random. */
static CvmImage middle(const Variants *variants) {
    const CvmDataset *data = variants->data;
    CvmImage picture = new_picture(variants);
    size_t top = (size_t)(data->height - picture.height) / 2;
    size_t left = (size_t)(data->width - picture.width) / 2, width = (size_t)picture.width;
    for (size_t c = 0; c < (size_t)picture.channels; c++)
        for (size_t y = 0; y < (size_t)picture.height; y++)
            memcpy(picture.pixels + (c * (size_t)picture.height + y) * width,
                   variants->picture + (c * (size_t)data->height + top + y) * (size_t)data->width +
                       left,
                   width);
    return picture;
}

static bool add_row(Variants *variants, int32_t sample, CvmSketchCell *cells) {
    CvmSession *session = variants->session;
    const CvmDataset *data = variants->data;
    const CvmImage stored = {data->channels, data->height, data->width, variants->picture};
    CvmError error;
    char name[32];
    if (!cvm_dataset_picture(data, sample, variants->picture, &error))
        return cvm_session_fail(session, &error);
    for (int i = 0; i < CVM_GALLERY_ROW; i++) {
        CvmSketchCell *cell = &cells[i];
        cell->picture = middle(variants);
        variants->augmentation.epoch = (uint64_t)(i ? i - 1 : 0);
        const uint8_t *pixels = cvm_augment(&variants->augmentation, &stored, (uint32_t)sample,
                                            variants->memory, &error);
        if (!pixels)
            return cvm_session_fail(session, &error);
        if (i)
            memcpy(cell->picture.pixels, pixels,
                   (size_t)stored.channels * (size_t)cell->picture.height *
                       (size_t)cell->picture.width);
        snprintf(cell->first, sizeof cell->first, "%s",
                 cvm_session_class_name(session, data->labels[sample], name, sizeof name));
        if (i)
            snprintf(cell->second, sizeof cell->second, "epoch %d", i);
        else
            snprintf(cell->second, sizeof cell->second, "as it is");
    }
    return true;
}

static bool show(CvmSession *session, const CvmDataset *data) {
    const CvmAugmentation *augmentation = cvm_train_augmentation(session->train);
    int64_t wanted = session->options->count ? session->options->count : DEFAULT_COUNT;
    int64_t count = wanted < data->count ? wanted : data->count;
    CvmArena *arena = session->arena;
    size_t size = (size_t)data->channels * (size_t)data->height * (size_t)data->width;
    CvmSketchCell *cells = cvm_arena_array(arena, (size_t)count * CVM_GALLERY_ROW, sizeof *cells);
    int32_t *order = cvm_arena_array(arena, (size_t)data->count, sizeof *order);
    Variants variants = {.session = session,
                         .data = data,
                         .augmentation = *augmentation,
                         .picture = cvm_arena_alloc(arena, size),
                         .memory =
                             cvm_arena_alloc(arena, cvm_augment_bytes(augmentation, data->channels,
                                                                      data->height, data->width))};
    variants.augmentation.seed = session->train->seed;
    cvm_shuffle(order, data->count, session->train->seed, 0); /* the first that are learned from */
    for (int64_t i = 0; i < count; i++)
        if (!add_row(&variants, order[i], cells + i * CVM_GALLERY_ROW))
            return false;
    return cvm_gallery_show(session, cells, (int)count * CVM_GALLERY_ROW, true);
}

bool cvm_show_augmented(CvmSession *session) {
    CvmDataset data;
    if (!cvm_train_augmentation(session->train))
        return cvm_session_refuse(session, CVM_EXIT_INPUT,
                                  "the train %s has no 'augment': every epoch sees the pictures as "
                                  "they are",
                                  session->train->name);
    if (!cvm_session_read_data(session, CVM_DATA_TRAIN, &data))
        return false;
    bool done = show(session, &data);
    cvm_dataset_free(&data);
    return done;
}
