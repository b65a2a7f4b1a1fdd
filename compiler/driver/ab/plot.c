/* See plot.h. */
#include "compiler/driver/ab/plot.h"

#include "compiler/driver/ab/print.h"

#include <math.h>

enum { WIDTH = 960, HEIGHT = 260, LEFT = 84, RIGHT = 16, TOP = 14, BOTTOM = 34, MOST_TICKS = 8 };

/* What the vertical axis shows. */
typedef struct Axis {
    double low, high;
} Axis;

static double place_x(double index, int count) {
    return LEFT + (index + 0.5) / count * (WIDTH - LEFT - RIGHT);
}

/* Values beyond the axis stand at its edge. */
static double place_y(const Axis *axis, double value) {
    double share = (value - axis->low) / (axis->high - axis->low);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that the axis has 3 to MOST_TICKS steps. */
static double step_of(const Axis *axis) {
    double range = axis->high - axis->low, step = pow(10, floor(log10(range)));
    static const double parts[] = {0.1, 0.2, 0.5, 1};
    for (int i = 0; i < 4; i++)
        if (range / (parts[i] * step) <= MOST_TICKS)
            return parts[i] * step;
    return step;
}

static void begin(const char *title, FILE *out) {
    fprintf(out,
            "<svg viewBox=\"0 0 %d %d\" role=\"img\" class=\"plot\"><title>%s</title>\n"
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"frame\"/>\n",
            WIDTH, HEIGHT, title, LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
}

static void draw_tick(const Axis *axis, double value, const char *text, FILE *out) {
    double y = place_y(axis, value);
    fprintf(out,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>"
            "<text x=\"%d\" y=\"%.1f\" class=\"tick\">%s</text>\n",
            LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, text);
}

static void draw_level(const Axis *axis, double value, const char *color, FILE *out) {
    double y = place_y(axis, value);
    fprintf(out,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-width=\"1.5\"/>\n",
            LEFT, WIDTH - RIGHT, y, y, color);
}

static void draw_dot(double x, double y, const char *color, double opacity, FILE *out) {
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\" fill-opacity=\"%.2f\"/>\n",
            x, y, color, opacity);
}

static void end(const char *below, FILE *out) {
    fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"label\">%s</text></svg>\n", WIDTH / 2, HEIGHT - 8,
            below);
}

void cvm_ab_plot_times(const CvmAbResult *result, FILE *out) {
    static const char *const colors[] = {CVM_AB_COLOR_A, CVM_AB_COLOR_B};
    int count = result->blocks * result->pairs;
    double slower = fmax(result->median[0], result->median[1]), most = 0;
    for (int i = 0; i < count; i++)
        most = fmax(most, fmax(result->times[0][i], result->times[1][i]));
    Axis axis = {0, fmin(most, 2 * slower) * 1.05}; /* a few runs may have been interrupted */
    begin("time of every run", out);
    double step = step_of(&axis);
    for (double value = 0; value < axis.high; value += step) {
        char text[32];
        draw_tick(&axis, value, cvm_ab_time_text(value, text), out);
    }
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < count; i++)
            draw_dot(place_x(i, count), place_y(&axis, result->times[side][i]), colors[side],
                     count > 400 ? 0.35 : 0.7, out);
    for (int side = 0; side < 2; side++)
        draw_level(&axis, result->median[side], colors[side], out);
    end("pairs of runs, in the order in which they were made; lines are medians; what lasted "
        "longer "
        "than the frame stands at its edge",
        out);
}

void cvm_ab_plot_ratios(const CvmAbResult *result, FILE *out) {
    double ratios[CVM_AB_MAX_BLOCKS];
    const CvmAbRatio *ratio = &result->ratio;
    Axis axis = {fmin(1, ratio->low), fmax(1, ratio->high)};
    for (int i = 0; i < result->blocks; i++) {
        int from = i * result->pairs;
        ratios[i] =
            exp(cvm_ab_block(&result->times[0][from], &result->times[1][from], result->pairs));
        axis.low = fmin(axis.low, ratios[i]);
        axis.high = fmax(axis.high, ratios[i]);
    }
    double margin = 0.05 * (axis.high - axis.low) + 1e-3;
    axis.low -= margin;
    axis.high += margin;
    begin("ratio of times by block", out);
    double step = step_of(&axis);
    for (double value = ceil(axis.low / step) * step; value < axis.high; value += step) {
        char text[32];
        snprintf(text, sizeof text, "%.4g", value);
        draw_tick(&axis, value, text, out);
    }
    double top = place_y(&axis, ratio->high), bottom = place_y(&axis, ratio->low);
    fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" class=\"interval\"/>\n",
            LEFT, top, WIDTH - LEFT - RIGHT, fmax(bottom - top, 0.5));
    draw_level(&axis, ratio->ratio, "#15803d", out);
    draw_level(&axis, 1, "#555", out);
    for (int i = 0; i < result->blocks; i++)
        draw_dot(place_x(i, result->blocks), place_y(&axis, ratios[i]), "#333", 0.8, out);
    end("time of B / A in each block of pairs; green: the ratio and its 95% interval; grey: no "
        "difference",
        out);
}
