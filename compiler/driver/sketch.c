/* See sketch.h. A character is about twice as high as wide, so each stands for two pixels, one
 * above the other. Wide pictures are reduced to a limit by leaving out pixels. */
#include "compiler/driver/sketch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MOST_COLUMNS = 56, SPACE = 2, USUAL_WIDTH = 150 };

static const char reset[] = "\033[0m";

static bool understands_color(FILE *stream) {
    const char *terminal = getenv("TERM"), *refused = getenv("NO_COLOR");
    return isatty(fileno(stream)) && terminal && strcmp(terminal, "dumb") != 0 &&
           !(refused && *refused);
}

static int terminal_width(FILE *stream) {
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return USUAL_WIDTH;
}

CvmSketch cvm_sketch_begin(FILE *stream, bool letters, int picture_width) {
    CvmSketch sketch = {.stream = stream, .color = !letters && understands_color(stream)};
    sketch.columns = picture_width < MOST_COLUMNS ? picture_width : MOST_COLUMNS;
    /* five and five look better than any other ten */
    int fitting = (terminal_width(stream) + SPACE) / (sketch.columns + SPACE);
    sketch.per_row = fitting < 1 ? 1 : fitting > 5 ? 5 : fitting;
    return sketch;
}

static const uint8_t *pixel_at(const CvmImage *picture, int y, int x) {
    if (y >= picture->height)
        y = picture->height - 1;
    return picture->pixels + (size_t)y * (size_t)picture->width + (size_t)x;
}

/* Grey by the usual weights, or the channel there is. */
static int brightness(const CvmImage *picture, const uint8_t *pixel) {
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    if (picture->channels < 3)
        return pixel[0];
    return (pixel[0] * 299 + pixel[plane] * 587 + pixel[2 * plane] * 114) / 1000;
}

static void print_color(FILE *stream, const CvmImage *picture, const uint8_t *pixel, int ground) {
    size_t plane = picture->channels < 3 ? 0 : (size_t)picture->height * (size_t)picture->width;
    fprintf(stream, "\033[%d;2;%d;%d;%dm", ground, pixel[0], pixel[plane], pixel[2 * plane]);
}

static void print_character(const CvmSketch *sketch, const CvmImage *picture, int line,
                            int column) {
    static const char ramp[] = " .:-=+*#%@";
    int x = column * picture->width / sketch->columns;
    int step = picture->width / sketch->columns; /* pixels a character is wide */
    int y = 2 * line * step;
    const uint8_t *upper = pixel_at(picture, y, x), *lower = pixel_at(picture, y + step, x);
    if (sketch->color) {
        print_color(sketch->stream, picture, upper, 38);
        print_color(sketch->stream, picture, lower, 48);
        fputs("\u2580", sketch->stream); /* the upper half in the first colour */
        return;
    }
    int level = (brightness(picture, upper) + brightness(picture, lower)) / 2;
    fputc(ramp[level * ((int)sizeof ramp - 1) / 256], sketch->stream);
}

static const struct {
    const char *text, *color;
} marks[] = {
    [CVM_MARK_NONE] = {"  ", ""},
    [CVM_MARK_RIGHT] = {"+ ", "\033[32m"},
    [CVM_MARK_WRONG] = {"- ", "\033[31m"},
};

static void print_text_line(const CvmSketch *sketch, const CvmSketchCell *cells, int count,
                            bool second) {
    for (int i = 0; i < count; i++) {
        const CvmSketchCell *cell = &cells[i];
        if (sketch->color)
            fputs(marks[cell->mark].color, sketch->stream);
        fprintf(sketch->stream, "%s%-*.*s", second ? "  " : marks[cell->mark].text,
                sketch->columns - 2, sketch->columns - 2, second ? cell->second : cell->first);
        if (sketch->color)
            fputs(reset, sketch->stream);
        fprintf(sketch->stream, "%*s", SPACE, "");
    }
    fputc('\n', sketch->stream);
}

void cvm_sketch_row(const CvmSketch *sketch, const CvmSketchCell *cells, int count) {
    int step = cells[0].picture.width / sketch->columns;
    int lines = (cells[0].picture.height + 2 * step - 1) / (2 * step);
    for (int line = 0; line < lines; line++) {
        for (int i = 0; i < count; i++) {
            for (int column = 0; column < sketch->columns; column++)
                print_character(sketch, &cells[i].picture, line, column);
            if (sketch->color)
                fputs(reset, sketch->stream);
            fprintf(sketch->stream, "%*s", SPACE, "");
        }
        fputc('\n', sketch->stream);
    }
    print_text_line(sketch, cells, count, false);
    print_text_line(sketch, cells, count, true);
    fputc('\n', sketch->stream);
}
