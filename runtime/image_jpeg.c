/* See image.h. libjpeg reports an error by calling error_exit, which must not return: ours jumps to
 * the function that started reading, so what must be freed lies in a structure outside of that
 * function's frame. libjpeg only warns of missing or corrupt data and makes up grey pixels for it;
 * to us a picture that is partly made up is no picture. */
#include "runtime/image.h"

#include "runtime/image_exif.h"
#include "runtime/image_file.h"
#include "runtime/text.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

enum {
    MAX_MARKER_BYTES = 0xFFFF, /* the length field has no more */
    /* Every scan of a progressive JPEG is a pass over the whole picture, for which a few bytes of
     * file suffice; real ones have about 10. */
    MAX_SCANS = 100,
};

typedef struct Reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char complaint[JMSG_LENGTH_MAX];
    uint8_t *row; /* [width, output_components] */
    CvmImage made;
} Reader;

static void refuse(Reader *reader, const char *complaint) {
    strcpy(reader->complaint, cvm_shown(complaint).text);
    longjmp(reader->failed, 1);
}

static void on_error(j_common_ptr jpeg) {
    char complaint[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, complaint);
    refuse(jpeg->client_data, complaint);
}

/* Odd, and no pixel is the worse for it: bytes between markers, data after the last row, unknown
 * versions of the headers. */
static bool is_harmless(int warning) {
    return warning == JWRN_EXTRANEOUS_DATA || warning == JWRN_TOO_MUCH_DATA ||
           warning == JWRN_ADOBE_XFORM || warning == JWRN_JFIF_MAJOR;
}

/* Levels from 0 are traces. */
static void on_message(j_common_ptr jpeg, int level) {
    if (level < 0 && !is_harmless(jpeg->err->msg_code))
        on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg) {
    Reader *reader = jpeg->client_data;
    if (reader->jpeg.input_scan_number > MAX_SCANS)
        refuse(reader, "it has more than 100 scans");
}

static void start(Reader *reader, FILE *stream) {
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = on_error;
    reader->errors.emit_message = on_message;
    reader->jpeg.client_data = reader;
    jpeg_create_decompress(&reader->jpeg);
    reader->progress.progress_monitor = on_progress;
    reader->jpeg.progress = &reader->progress;
    jpeg_stdio_src(&reader->jpeg, stream);
    jpeg_save_markers(&reader->jpeg, JPEG_APP0 + 1, MAX_MARKER_BYTES); /* EXIF */
}

/* Made for printing: cyan, magenta, yellow and black ink. */
static bool is_inked(const Reader *reader) {
    J_COLOR_SPACE colours = reader->jpeg.jpeg_color_space;
    return colours == JCS_CMYK || colours == JCS_YCCK;
}

/* Nothing has been allocated for pixels yet. */
static void check_header(Reader *reader) {
    int64_t width = reader->jpeg.image_width, height = reader->jpeg.image_height;
    J_COLOR_SPACE colours = reader->jpeg.jpeg_color_space;
    if (width > CVM_IMAGE_MAX_SIDE || height > CVM_IMAGE_MAX_SIDE)
        refuse(reader, "it has more than 16384 pixels on a side");
    if (width * height > CVM_IMAGE_MAX_PIXELS)
        refuse(reader, "it has more than 2^26 pixels");
    if (colours != JCS_GRAYSCALE && colours != JCS_RGB && colours != JCS_YCbCr && !is_inked(reader))
        refuse(reader, "its colours are neither grey nor RGB nor YCbCr nor CMYK");
}

static int orientation_of(const struct jpeg_decompress_struct *jpeg) {
    int found = 0;
    for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker && !found; marker = marker->next)
        found = cvm_exif_orientation(marker->data, marker->data_length);
    return found ? found : 1;
}

/* Where the pixels of the file go in a plane of the upright picture: the pixel of column x and row
 * y to origin + x * column + y * row. */
typedef struct Placement {
    int height, width; /* upright */
    int64_t origin, column, row;
} Placement;

/* From 5 on the file's rows are the picture's columns; the other digits are mirrorings. */
static Placement placement_of(int orientation, int height, int width) {
    bool turned = orientation >= 5;
    bool from_right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    bool from_below = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    Placement p = {.height = turned ? width : height, .width = turned ? height : width};
    int64_t right = from_right ? -1 : 1, down = from_below ? -p.width : p.width;
    p.origin =
        (from_right ? p.width - 1 : 0) + (from_below ? (int64_t)(p.height - 1) * p.width : 0);
    p.column = turned ? down : right;
    p.row = turned ? right : down;
    return p;
}

static void allocate(Reader *reader, int channels, const Placement *placement) {
    size_t pixels = (size_t)placement->height * (size_t)placement->width;
    reader->made = (CvmImage){channels, placement->height, placement->width, NULL};
    reader->made.pixels = malloc((size_t)channels * pixels);
    reader->row = malloc((size_t)reader->jpeg.output_components * reader->jpeg.output_width);
    if (!reader->made.pixels || !reader->row)
        refuse(reader, "out of memory");
}

/* a * b / 255, rounded; exact for bytes. */
static unsigned product(unsigned a, unsigned b) {
    unsigned value = a * b + 128;
    return (value + (value >> 8)) >> 8;
}

/* A row of four inks becomes one of `channels` colours, in its place. By Adobe's convention, which
 * every program but a few follows, files hold how little of an ink there is (255: none), whether or
 * not they have Adobe's marker; Pillow reads them all so, and its arithmetic is this one. */
static void mix_inks(uint8_t *row, int64_t width, int channels) {
    for (int64_t x = 0; x < width; x++) {
        unsigned rgb[3], white = row[4 * x + 3];
        for (int c = 0; c < 3; c++)
            rgb[c] = white - product(255u - row[4 * x + c], white);
        for (int c = 0; c < channels; c++)
            row[x * channels + c] = (uint8_t)(channels == 1 ? cvm_image_grey(rgb) : rgb[c]);
    }
}

static void read_rows(Reader *reader, const Placement *placement) {
    int channels = reader->made.channels;
    int64_t plane = (int64_t)placement->height * placement->width;
    int64_t height = reader->jpeg.output_height, width = reader->jpeg.output_width;
    for (int64_t y = 0; y < height; y++) {
        uint8_t *to = reader->made.pixels + placement->origin + y * placement->row;
        jpeg_read_scanlines(&reader->jpeg, &reader->row, 1);
        if (is_inked(reader))
            mix_inks(reader->row, width, channels);
        for (int64_t x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                to[c * plane + x * placement->column] = reader->row[x * channels + c];
    }
}

static bool read_upright(Reader *reader, FILE *stream, int channels) {
    if (setjmp(reader->failed))
        return false;
    start(reader, stream);
    jpeg_read_header(&reader->jpeg, TRUE);
    check_header(reader);
    reader->jpeg.out_color_space = is_inked(reader) ? JCS_CMYK
                                   : channels == 1  ? JCS_GRAYSCALE
                                                    : JCS_RGB;
    Placement placement =
        placement_of(orientation_of(&reader->jpeg), (int)reader->jpeg.image_height,
                     (int)reader->jpeg.image_width);
    jpeg_start_decompress(&reader->jpeg);
    allocate(reader, channels, &placement);
    read_rows(reader, &placement);
    jpeg_finish_decompress(&reader->jpeg);
    return true;
}

bool cvm_image_read_jpeg(const char *path, int channels, CvmImage *image, CvmError *error) {
    Reader reader = {0};
    *image = (CvmImage){0};
    FILE *stream = cvm_image_open(path, channels, error);
    if (!stream)
        return false;
    bool done = read_upright(&reader, stream, channels);
    jpeg_destroy_decompress(&reader.jpeg);
    free(reader.row);
    fclose(stream);
    if (done) {
        *image = reader.made;
        return true;
    }
    cvm_image_free(&reader.made);
    return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s is not a readable JPEG: %s", path,
                         reader.complaint);
}
