/* See augment.h. A picture is worked on in two halves of memory: what cannot be done in place is
 * written from one to the other. Every kind draws from numbers of its own, so that leaving one out
 * changes nothing that another draws. */
#include "runtime/augment.h"

#include "runtime/random.h"

#include <math.h>
#include <string.h>

/* A picture on its way. */
typedef struct Work {
    const CvmAugmentation *augmentation;
    CvmAugmentKind kind; /* of the step under way */
    uint32_t sample;
    CvmImage image; /* in one half of the memory */
    uint8_t *spare; /* the other */
} Work;

/* --- chance --- */

typedef struct Draw {
    uint32_t words[4];
} Draw;

/* Number `index`, below 2^28, of those that this kind draws for this picture in this epoch. */
static Draw draw(const Work *work, uint32_t index) {
    Draw drawn;
    cvm_philox(work->augmentation->seed, cvm_random_stream("augment") + work->augmentation->epoch,
               (uint64_t)work->sample << 32 | (uint64_t)work->kind << 28 | index, drawn.words);
    return drawn;
}

/* Evenly from [least, most). */
static double between(uint32_t word, double least, double most) {
    return least + (most - least) * (word * 0x1p-32);
}

/* Evenly from 0 … count - 1. */
static int below(uint32_t word, int count) {
    return (int)((uint64_t)word * (uint64_t)count >> 32);
}

static bool happens(const Work *work, const CvmAugmentStep *step) {
    return draw(work, 0).words[0] * 0x1p-32 < step->amount;
}

/* --- where pixels go --- */

static uint8_t *row_of(const CvmImage *image, int channel, int y) {
    return image->pixels + ((int64_t)channel * image->height + y) * image->width;
}

/* What was written to the spare half, of this size, is the picture now. */
static void take_spare(Work *work, int height, int width) {
    uint8_t *before = work->image.pixels;
    work->image = (CvmImage){work->image.channels, height, width, work->spare};
    work->spare = before;
}

static bool flip_horizontal(Work *work, const CvmAugmentStep *step, CvmError *error) {
    CvmImage *image = &work->image;
    (void)error;
    if (!happens(work, step))
        return true;
    for (int c = 0; c < image->channels; c++)
        for (int y = 0; y < image->height; y++) {
            uint8_t *left = row_of(image, c, y), *right = left + image->width - 1;
            for (; left < right; left++, right--) {
                uint8_t kept = *left;
                *left = *right;
                *right = kept;
            }
        }
    return true;
}

static bool flip_vertical(Work *work, const CvmAugmentStep *step, CvmError *error) {
    CvmImage to = work->image;
    (void)error;
    if (!happens(work, step))
        return true;
    to.pixels = work->spare;
    for (int c = 0; c < to.channels; c++)
        for (int y = 0; y < to.height; y++)
            memcpy(row_of(&to, c, y), row_of(&work->image, c, to.height - 1 - y), (size_t)to.width);
    take_spare(work, to.height, to.width);
    return true;
}

static bool shift(Work *work, const CvmAugmentStep *step, CvmError *error) {
    CvmImage to = work->image;
    Draw drawn = draw(work, 0);
    int down = below(drawn.words[0], 2 * step->rows + 1) - step->rows;
    int right = below(drawn.words[1], 2 * step->columns + 1) - step->columns;
    int from_left = right < 0 ? -right : 0, to_left = right > 0 ? right : 0;
    size_t kept = (size_t)(to.width - from_left - to_left);
    (void)error;
    to.pixels = work->spare;
    memset(to.pixels, 0, (size_t)to.channels * (size_t)to.height * (size_t)to.width);
    for (int c = 0; c < to.channels; c++)
        for (int y = 0; y < to.height; y++)
            if (y - down >= 0 && y - down < to.height)
                memcpy(row_of(&to, c, y) + to_left, row_of(&work->image, c, y - down) + from_left,
                       kept);
    take_spare(work, to.height, to.width);
    return true;
}

/* --- parts of a picture --- */

typedef struct Window {
    int top, left, height, width;
} Window;

/* Places it evenly among all places where it lies inside. */
static void place(const Work *work, const Draw *drawn, Window *window) {
    window->top = below(drawn->words[2], work->image.height - window->height + 1);
    window->left = below(drawn->words[3], work->image.width - window->width + 1);
}

/* A rectangle of a random share of the area and a random ratio, even in its logarithm, if it lies
 * inside the picture. */
static bool find_window(const Work *work, const Draw *drawn, double least, double most,
                        double ratio, Window *window) {
    double area = (double)work->image.height * work->image.width;
    double share = area * between(drawn->words[0], least, most);
    double proportion = exp(between(drawn->words[1], -log(ratio), log(ratio)));
    window->height = (int)(sqrt(share / proportion) + 0.5);
    window->width = (int)(sqrt(share * proportion) + 0.5);
    if (window->height < 1 || window->width < 1 || window->height > work->image.height ||
        window->width > work->image.width)
        return false;
    place(work, drawn, window);
    return true;
}

static void cut(Work *work, const Window *window) {
    CvmImage to = {work->image.channels, window->height, window->width, work->spare};
    for (int c = 0; c < to.channels; c++)
        for (int y = 0; y < to.height; y++)
            memcpy(row_of(&to, c, y), row_of(&work->image, c, window->top + y) + window->left,
                   (size_t)to.width);
    take_spare(work, to.height, to.width);
}

static bool scale(Work *work, int height, int width, CvmError *error) {
    CvmImage scaled;
    if (!cvm_image_resize(&work->image, height, width, &scaled, error))
        return false;
    memcpy(work->spare, scaled.pixels, (size_t)scaled.channels * (size_t)height * (size_t)width);
    cvm_image_free(&scaled);
    take_spare(work, height, width);
    return true;
}

enum { CROP_TRIES = 10, ERASE_TRIES = 100, NOISE = 1 << 10 /* the first number of the noise */ };

static bool crop(Work *work, const CvmAugmentStep *step, CvmError *error) {
    const CvmAugmentation *augmentation = work->augmentation;
    Draw drawn = draw(work, 0);
    Window window = {.height = augmentation->height, .width = augmentation->width};
    if (step->amount >= 1) {
        place(work, &drawn, &window);
        cut(work, &window);
        return true;
    }
    for (uint32_t i = 0; i < CROP_TRIES; i++) {
        drawn = draw(work, i);
        if (!find_window(work, &drawn, step->amount, 1, 4.0 / 3, &window))
            continue;
        cut(work, &window);
        break;
    }
    return scale(work, augmentation->height, augmentation->width, error);
}

static bool erase(Work *work, const CvmAugmentStep *step, CvmError *error) {
    Window window;
    uint32_t tries = 1;
    (void)error;
    if (!happens(work, step))
        return true;
    for (; tries <= ERASE_TRIES; tries++) {
        Draw drawn = draw(work, tries);
        if (find_window(work, &drawn, 0.02, 0.4, 1 / 0.3, &window))
            break;
    }
    if (tries > ERASE_TRIES)
        return true;
    Draw noise = {0};
    uint32_t used = 0;
    for (int c = 0; c < work->image.channels; c++)
        for (int y = 0; y < window.height; y++) {
            uint8_t *row = row_of(&work->image, c, window.top + y) + window.left;
            for (int x = 0; x < window.width; x++, used++) {
                if (used % 16 == 0)
                    noise = draw(work, NOISE + used / 16);
                row[x] = (uint8_t)(noise.words[used % 16 / 4] >> used % 4 * 8);
            }
        }
    return true;
}

/* --- what pixels become --- */

/* pixel = round(centre + factor · (pixel - centre)), within 0 … 255. */
static void stretch(Work *work, const CvmAugmentStep *step, double centre) {
    double factor = between(draw(work, 0).words[0], 1 - step->amount, 1 + step->amount);
    uint8_t table[256];
    for (int value = 0; value < 256; value++) {
        double stretched = centre + factor * (value - centre) + 0.5;
        table[value] = (uint8_t)(stretched < 0 ? 0 : stretched > 255 ? 255 : stretched);
    }
    int64_t count = (int64_t)work->image.channels * work->image.height * work->image.width;
    for (int64_t i = 0; i < count; i++)
        work->image.pixels[i] = table[work->image.pixels[i]];
}

static bool brightness(Work *work, const CvmAugmentStep *step, CvmError *error) {
    (void)error;
    stretch(work, step, 0);
    return true;
}

/* By ITU-R 601 weights where there are three colours. */
static double mean_grey(const CvmImage *image) {
    static const double weights[] = {0.299, 0.587, 0.114};
    int64_t plane = (int64_t)image->height * image->width;
    double grey = 0;
    for (int c = 0; c < image->channels; c++) {
        uint64_t sum = 0;
        for (int64_t i = 0; i < plane; i++)
            sum += image->pixels[c * plane + i];
        grey += (image->channels == 3 ? weights[c] : 1.0 / image->channels) * (double)sum;
    }
    return grey / (double)plane;
}

static bool contrast(Work *work, const CvmAugmentStep *step, CvmError *error) {
    (void)error;
    stretch(work, step, mean_grey(&work->image));
    return true;
}

/* --- all of them --- */

/* Changes work->image. Error: as for cvm_augment. */
typedef bool (*Operation)(Work *work, const CvmAugmentStep *step, CvmError *error);

static const Operation operations[CVM_AUGMENT_KINDS] = {
    [CVM_AUGMENT_FLIP_HORIZONTAL] = flip_horizontal,
    [CVM_AUGMENT_FLIP_VERTICAL] = flip_vertical,
    [CVM_AUGMENT_SHIFT] = shift,
    [CVM_AUGMENT_CROP] = crop,
    [CVM_AUGMENT_BRIGHTNESS] = brightness,
    [CVM_AUGMENT_CONTRAST] = contrast,
    [CVM_AUGMENT_ERASE] = erase,
};

static size_t half_of(const CvmAugmentation *augmentation, int channels, int height, int width) {
    size_t before = (size_t)height * (size_t)width;
    size_t after = (size_t)augmentation->height * (size_t)augmentation->width;
    return (size_t)channels * (before > after ? before : after);
}

size_t cvm_augment_bytes(const CvmAugmentation *augmentation, int channels, int height, int width) {
    return 2 * half_of(augmentation, channels, height, width);
}

const uint8_t *cvm_augment(const CvmAugmentation *augmentation, const CvmImage *picture,
                           uint32_t sample, uint8_t *memory, CvmError *error) {
    Work work = {.augmentation = augmentation, .sample = sample, .image = *picture};
    work.image.pixels = memory;
    work.spare = memory + half_of(augmentation, picture->channels, picture->height, picture->width);
    memcpy(memory, picture->pixels,
           (size_t)picture->channels * (size_t)picture->height * (size_t)picture->width);
    for (int i = 0; i < augmentation->count; i++) {
        work.kind = augmentation->steps[i].kind;
        if (!operations[work.kind](&work, &augmentation->steps[i], error))
            return NULL;
    }
    return work.image.pixels;
}
