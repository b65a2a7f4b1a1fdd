/* See gallery.h. */
#include "compiler/driver/gallery.h"

#include "compiler/driver/canvas.h"

enum { GAP = 8, CAPTION = 38, FRAME = 3, LEAST_SIDE = 168 };

static const CvmColor colors[] = {
    [CVM_MARK_NONE] = {64, 64, 64},
    [CVM_MARK_RIGHT] = {0, 128, 48},
    [CVM_MARK_WRONG] = {200, 32, 32},
};

static void print(const CvmSession *session, const CvmSketchCell *cells, int count, bool series) {
    CvmSketch sketch =
        cvm_sketch_begin(stdout, session->options->ascii, count ? cells[0].picture.width : 1);
    int row = series && sketch.per_row > CVM_GALLERY_ROW ? CVM_GALLERY_ROW : sketch.per_row;
    for (int first = 0; first < count; first += row)
        cvm_sketch_row(&sketch, cells + first, count - first < row ? count - first : row);
}

static CvmColor pixel_color(const CvmImage *picture, int y, int x) {
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    const uint8_t *pixel = picture->pixels + (size_t)y * (size_t)picture->width + (size_t)x;
    if (picture->channels >= 3)
        return (CvmColor){pixel[0], pixel[plane], pixel[2 * plane]};
    return (CvmColor){pixel[0], pixel[0], pixel[0]};
}

static void draw(CvmImage *canvas, const CvmSketchCell *cell, int left, int top, int zoom) {
    const CvmImage *picture = &cell->picture;
    int width = picture->width * zoom, height = picture->height * zoom;
    CvmColor color = colors[cell->mark];
    cvm_canvas_fill(canvas, left - FRAME, top - FRAME, width + 2 * FRAME, height + 2 * FRAME,
                    color);
    for (int y = 0; y < picture->height; y++)
        for (int x = 0; x < picture->width; x++)
            cvm_canvas_fill(canvas, left + x * zoom, top + y * zoom, zoom, zoom,
                            pixel_color(picture, y, x));
    cvm_canvas_text(canvas, left, top + height + FRAME + 3, width, color, cell->first);
    cvm_canvas_text(canvas, left, top + height + FRAME + 20, width, color, cell->second);
}

static bool write_png(CvmSession *session, const CvmSketchCell *cells, int count,
                      const char *path) {
    const CvmImage *picture = &cells[0].picture;
    int side = picture->height > picture->width ? picture->height : picture->width;
    int zoom = side >= LEAST_SIDE ? 1 : (LEAST_SIDE + side - 1) / side;
    int cell_width = picture->width * zoom + 2 * FRAME + GAP;
    int cell_height = picture->height * zoom + 2 * FRAME + CAPTION + GAP;
    int columns = count < CVM_GALLERY_ROW ? count : CVM_GALLERY_ROW;
    int rows = (count + CVM_GALLERY_ROW - 1) / CVM_GALLERY_ROW;
    CvmImage canvas;
    CvmError error;
    if (!cvm_canvas_create(&canvas, rows * cell_height + GAP, columns * cell_width + GAP, &error))
        return cvm_session_fail(session, &error);
    for (int i = 0; i < count; i++)
        draw(&canvas, &cells[i], GAP + FRAME + i % CVM_GALLERY_ROW * cell_width,
             GAP + FRAME + i / CVM_GALLERY_ROW * cell_height, zoom);
    bool written = cvm_image_write_png(path, &canvas, &error);
    cvm_image_free(&canvas);
    return written || cvm_session_fail(session, &error);
}

bool cvm_gallery_show(CvmSession *session, const CvmSketchCell *cells, int count, bool series) {
    const char *path = session->options->png;
    print(session, cells, count, series);
    if (path && count && !write_png(session, cells, count, path))
        return false;
    if (path && count)
        printf("the same as a picture: %s\n", path);
    return true;
}
