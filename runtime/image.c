/* See image.h. libpng reports an error by a long jump to the function that started reading or
 * writing; whatever must be freed then lies in a structure outside of that function's frame.
 * Reading has libpng turn every kind of PNG into 8-bit RGB with alpha; grey and the black
 * background are ours, so that both follow one rule for all kinds. */
#include "runtime/image.h"

#include "runtime/atomic_file.h"
#include "runtime/image_file.h"
#include "runtime/text.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CHUNK_BYTES = 8 << 20, /* of colour profiles and texts, which we do not want */
    RGBA = 4,
};

/* What libpng said when it failed. */
typedef struct Complaint {
    char text[128];
} Complaint;

static void complain(png_structp png, png_const_charp message) {
    Complaint *complaint = png_get_error_ptr(png);
    strcpy(complaint->text, cvm_shown(message).text);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

/* Reading */

typedef struct Reader {
    png_structp png;
    png_infop info;
    Complaint complaint;
    int width, height;
    uint8_t *pixels; /* [height, width, RGBA] */
    png_bytepp rows;
} Reader;

/* Every kind of PNG becomes 8-bit RGBA. */
static void ask_for_rgba(Reader *reader) {
    png_set_expand(reader->png); /* palettes, few-bit grey and transparent colours */
    png_set_scale_16(reader->png);
    png_set_gray_to_rgb(reader->png);
    png_set_add_alpha(reader->png, 0xFF, PNG_FILLER_AFTER);
    png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
}

static void allocate_rows(Reader *reader) {
    size_t stride = (size_t)reader->width * RGBA;
    if (png_get_rowbytes(reader->png, reader->info) != stride)
        png_error(reader->png, "unexpected row size");
    reader->pixels = malloc(stride * (size_t)reader->height);
    reader->rows = malloc(sizeof *reader->rows * (size_t)reader->height);
    if (!reader->pixels || !reader->rows)
        png_error(reader->png, "out of memory");
    for (int y = 0; y < reader->height; y++)
        reader->rows[y] = reader->pixels + stride * (size_t)y;
}

/* Nothing has been allocated for pixels yet. */
static void check_size(Reader *reader) {
    png_uint_32 width = png_get_image_width(reader->png, reader->info);
    png_uint_32 height = png_get_image_height(reader->png, reader->info);
    if (width > CVM_IMAGE_MAX_SIDE || height > CVM_IMAGE_MAX_SIDE)
        png_error(reader->png, "it has more than 16384 pixels on a side");
    if ((int64_t)width * height > CVM_IMAGE_MAX_PIXELS)
        png_error(reader->png, "it has more than 2^26 pixels");
    reader->width = (int)width;
    reader->height = (int)height;
}

static bool read_rgba(Reader *reader, FILE *stream) {
    if (setjmp(png_jmpbuf(reader->png)))
        return false;
    png_set_user_limits(reader->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* ours say what is wrong */
    png_set_chunk_malloc_max(reader->png, MAX_CHUNK_BYTES);
    png_init_io(reader->png, stream);
    png_read_info(reader->png, reader->info);
    check_size(reader);
    ask_for_rgba(reader);
    allocate_rows(reader);
    png_read_image(reader->png, reader->rows);
    png_read_end(reader->png, NULL);
    return true;
}

static bool convert(const Reader *reader, int channels, const char *path, CvmImage *image,
                    CvmError *error) {
    const CvmImageRows rows = {reader->pixels, reader->width, reader->height, RGBA,
                               (ptrdiff_t)reader->width * RGBA};
    return cvm_image_from_rows(&rows, channels, image, error) ||
           cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to read %.800s", path);
}

static bool read_stream(FILE *stream, const char *path, int channels, CvmImage *image,
                        CvmError *error) {
    Reader reader = {0};
    bool done = false;
    reader.png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader.complaint, complain, ignore_warning);
    reader.info = reader.png ? png_create_info_struct(reader.png) : NULL;
    if (!reader.info)
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to read %.800s", path);
    else if (!read_rgba(&reader, stream))
        cvm_error_set(error, CVM_ERROR_INPUT, "%.800s is not a readable PNG: %s", path,
                      reader.complaint.text);
    else
        done = convert(&reader, channels, path, image, error);
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    free(reader.pixels);
    free(reader.rows);
    return done;
}

bool cvm_image_read_png(const char *path, int channels, CvmImage *image, CvmError *error) {
    *image = (CvmImage){0};
    FILE *stream = cvm_image_open(path, channels, error);
    if (!stream)
        return false;
    bool done = read_stream(stream, path, channels, image, error);
    fclose(stream);
    return done;
}

/* Writing */

typedef struct Writer {
    png_structp png;
    png_infop info;
    Complaint complaint;
    uint8_t *row; /* [width, channels] */
} Writer;

static void append(png_structp png, png_bytep bytes, png_size_t size) {
    cvm_atomic_file_write(png_get_io_ptr(png), bytes, size);
}

static void flush_nothing(png_structp png) {
    (void)png;
}

static bool write_rows(Writer *writer, const CvmImage *image, CvmAtomicFile *file) {
    if (setjmp(png_jmpbuf(writer->png)))
        return false;
    png_set_write_fn(writer->png, file, append, flush_nothing);
    png_set_IHDR(writer->png, writer->info, (png_uint_32)image->width, (png_uint_32)image->height,
                 8, image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(writer->png, writer->info);
    int64_t plane = (int64_t)image->height * image->width;
    for (int64_t y = 0; y < image->height; y++) {
        for (int64_t x = 0; x < image->width; x++)
            for (int c = 0; c < image->channels; c++)
                writer->row[x * image->channels + c] =
                    image->pixels[c * plane + y * image->width + x];
        png_write_row(writer->png, writer->row);
    }
    png_write_end(writer->png, NULL);
    return true;
}

static bool encode(const char *path, const CvmImage *image, CvmAtomicFile *file, CvmError *error) {
    Writer writer = {0};
    bool done = false;
    writer.png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer.complaint, complain, ignore_warning);
    writer.info = writer.png ? png_create_info_struct(writer.png) : NULL;
    writer.row = malloc((size_t)image->width * (size_t)image->channels);
    if (!writer.info || !writer.row)
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to write %.800s", path);
    else if (!write_rows(&writer, image, file))
        cvm_error_set(error, CVM_ERROR_MACHINE, "cannot write %.800s: %s", path,
                      writer.complaint.text);
    else
        done = true;
    png_destroy_write_struct(&writer.png, &writer.info);
    free(writer.row);
    return done;
}

bool cvm_image_write_png(const char *path, const CvmImage *image, CvmError *error) {
    CvmAtomicFile file;
    if ((image->channels != 1 && image->channels != 3) || image->height < 1 || image->width < 1 ||
        image->height > CVM_IMAGE_MAX_SIDE || image->width > CVM_IMAGE_MAX_SIDE)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "cannot write %.800s: a picture of [%d, %d, %d] is no grey or RGB one "
                             "of at most %d pixels a side",
                             path, image->channels, image->height, image->width,
                             CVM_IMAGE_MAX_SIDE);
    if (!cvm_atomic_file_open(path, &file, error))
        return false;
    if (encode(path, image, &file, error))
        return cvm_atomic_file_commit(&file, error);
    cvm_atomic_file_abandon(&file);
    return false;
}
