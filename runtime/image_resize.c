/* See image.h. The method is Pillow's (ImagingResample for 8 bits a channel): one pass along the
 * rows into an 8-bit picture, then one along the columns. An output pixel is a weighted mean of the
 * input pixels under a triangle around its centre, which is as wide as two output pixels when
 * shrinking (so that no input pixel is skipped) and two input pixels when growing. The weights are
 * computed in double and rounded to 22-bit fixed point; models trained on pictures that Pillow
 * scaled see the same bits, so neither the order of operations nor the roundings may change. */
#include "runtime/image.h"

#include "runtime/image_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* 8 bits are the pixel's, 2 are spare for the sum and its sign */
enum { PRECISION_BITS = 32 - 8 - 2 };

/* Along one side: which input pixels an output pixel is the mean of. */
typedef struct Window {
    int first, count;
} Window;

typedef struct Weights {
    int capacity; /* of one window */
    Window *windows;
    int32_t *values; /* [output pixels, capacity] */
} Weights;

static void free_weights(Weights *weights) {
    free(weights->windows);
    free(weights->values);
}

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* `exact` holds one window's weights before they are rounded. */
static Window weigh(int from, int to, int i, double *exact, int32_t *values) {
    double scale = (double)from / to;
    double support = scale < 1.0 ? 1.0 : scale, inverse = 1.0 / support;
    double centre = (i + 0.5) * scale, sum = 0;
    int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
    first = first < 0 ? 0 : first;
    end = end > from ? from : end;
    for (int x = first; x < end; x++)
        sum += exact[x - first] = triangle((x - centre + 0.5) * inverse);
    for (int x = 0; x < end - first; x++)
        values[x] = (int32_t)(0.5 + exact[x] / sum * (1 << PRECISION_BITS));
    return (Window){first, end - first};
}

static bool make_weights(int from, int to, Weights *weights) {
    double scale = (double)from / to;
    int capacity = (int)ceil(scale < 1.0 ? 1.0 : scale) * 2 + 1;
    double *exact = malloc(sizeof *exact * (size_t)capacity);
    weights->capacity = capacity;
    weights->windows = malloc(sizeof *weights->windows * (size_t)to);
    weights->values = malloc(sizeof *weights->values * (size_t)to * (size_t)capacity);
    bool done = exact && weights->windows && weights->values;
    for (int i = 0; done && i < to; i++)
        weights->windows[i] = weigh(from, to, i, exact, weights->values + (int64_t)i * capacity);
    free(exact);
    return done;
}

static uint8_t rounded(int32_t sum) {
    int32_t value = sum >> PRECISION_BITS;
    return (uint8_t)(value > 255 ? 255 : value);
}

/* One row: [from] to [to]. */
static void scale_row(const uint8_t *from, const Weights *weights, uint8_t *to, int width) {
    for (int x = 0; x < width; x++) {
        const Window *window = &weights->windows[x];
        const int32_t *values = weights->values + (int64_t)x * weights->capacity;
        int32_t sum = 1 << (PRECISION_BITS - 1);
        for (int i = 0; i < window->count; i++)
            sum += from[window->first + i] * values[i];
        to[x] = rounded(sum);
    }
}

/* One row of the result from the rows of one plane; `sums` is a row. */
static void mix_rows(const uint8_t *plane, const Window *window, const int32_t *values,
                     int32_t *sums, uint8_t *to, int width) {
    for (int x = 0; x < width; x++)
        sums[x] = 1 << (PRECISION_BITS - 1);
    for (int i = 0; i < window->count; i++) {
        const uint8_t *row = plane + (int64_t)(window->first + i) * width;
        for (int x = 0; x < width; x++)
            sums[x] += row[x] * values[i];
    }
    for (int x = 0; x < width; x++)
        to[x] = rounded(sums[x]);
}

static void scale_columns(const CvmImage *from, const Weights *weights, int32_t *sums,
                          CvmImage *to) {
    int width = to->width;
    for (int c = 0; c < to->channels; c++)
        for (int y = 0; y < to->height; y++)
            mix_rows(from->pixels + (int64_t)c * from->height * width, &weights->windows[y],
                     weights->values + (int64_t)y * weights->capacity, sums,
                     to->pixels + ((int64_t)c * to->height + y) * width, width);
}

static bool allocate(int channels, int height, int width, CvmImage *image) {
    uint8_t *pixels = malloc((size_t)channels * (size_t)height * (size_t)width);
    *image = (CvmImage){channels, height, width, pixels};
    return pixels != NULL;
}

static bool resize_rows(const CvmImage *from, int width, CvmImage *to) {
    Weights weights = {0};
    bool done = make_weights(from->width, width, &weights) &&
                allocate(from->channels, from->height, width, to);
    int64_t rows = (int64_t)from->channels * from->height;
    for (int64_t y = 0; done && y < rows; y++)
        scale_row(from->pixels + y * from->width, &weights, to->pixels + y * width, width);
    free_weights(&weights);
    return done;
}

static bool resize_columns(const CvmImage *from, int height, CvmImage *to) {
    Weights weights = {0};
    int32_t *sums = malloc(sizeof *sums * (size_t)from->width);
    bool done = sums && make_weights(from->height, height, &weights) &&
                allocate(from->channels, height, from->width, to);
    if (done)
        scale_columns(from, &weights, sums, to);
    free_weights(&weights);
    free(sums);
    return done;
}

/* The picture between the passes is from->height x width and is held to the same limit. */
static bool check_sizes(const CvmImage *from, int64_t height, int64_t width, CvmError *error) {
    int64_t tallest = height > from->height ? height : from->height;
    if (height >= 1 && width >= 1 && height <= CVM_IMAGE_MAX_SIDE && width <= CVM_IMAGE_MAX_SIDE &&
        tallest * width <= CVM_IMAGE_MAX_PIXELS)
        return true;
    return cvm_error_set(error, CVM_ERROR_INPUT,
                         "cannot scale a picture %d pixels wide and %d high to %lld wide and %lld "
                         "high: from 1 to 16384 a side and 2^26 in all are possible",
                         from->width, from->height, (long long)width, (long long)height);
}

static bool resize(const CvmImage *from, int64_t height, int64_t width, CvmImage *to,
                   CvmError *error) {
    CvmImage between = {0};
    *to = (CvmImage){0};
    if (!check_sizes(from, height, width, error))
        return false;
    bool done =
        resize_rows(from, (int)width, &between) && resize_columns(&between, (int)height, to);
    cvm_image_free(&between);
    if (done)
        return true;
    cvm_image_free(to);
    return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to scale a picture");
}

bool cvm_image_resize(const CvmImage *from, int height, int width, CvmImage *to, CvmError *error) {
    return resize(from, height, width, to, error);
}

bool cvm_image_resize_short_side(const CvmImage *from, int size, CvmImage *to, CvmError *error) {
    if (from->width <= from->height)
        return resize(from, (int64_t)size * from->height / from->width, size, to, error);
    return resize(from, size, (int64_t)size * from->width / from->height, to, error);
}

/* Half of what is cut off, rounded half to even as Python's round() does. */
static int margin(int from, int to) {
    int half = (from - to) / 2;
    return half + ((from - to) % 2 == 1 && half % 2 == 1);
}

bool cvm_image_crop_centre(const CvmImage *from, int height, int width, CvmImage *to,
                           CvmError *error) {
    *to = (CvmImage){0};
    if (height < 1 || width < 1 || height > from->height || width > from->width)
        return cvm_error_set(
            error, CVM_ERROR_INPUT,
            "cannot cut a picture %d wide and %d high from one %d wide and %d high", width, height,
            from->width, from->height);
    if (!allocate(from->channels, height, width, to)) {
        *to = (CvmImage){0};
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to crop a picture");
    }
    int top = margin(from->height, height), left = margin(from->width, width);
    for (int c = 0; c < from->channels; c++)
        for (int y = 0; y < height; y++)
            memcpy(to->pixels + ((int64_t)c * height + y) * width,
                   from->pixels + ((int64_t)c * from->height + top + y) * from->width + left,
                   (size_t)width);
    return true;
}
