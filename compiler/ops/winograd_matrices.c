/* See winograd.h. A polynomial product of degree n - 1 is known from its values at n points, or at
 * n - 1 and its leading coefficient, the value "at infinity"; a correlation is such a product
 * transposed. */
#include "compiler/ops/winograd.h"

#include <math.h>
#include <stdlib.h>

typedef struct Points {
    int side;                         /* n */
    int taps;                         /* r, at most */
    double values[CVM_WINOGRAD_SIDE]; /* p directly before -p; where n is even one less than n */
} Points;

static const Points table[] = {
    {4, CVM_WINOGRAD_TAPS, {0, 1, -1}},
    {6, CVM_WINOGRAD_TAPS, {0, 0.625, -0.625, 1.25, -1.25}},
    {8, CVM_WINOGRAD_TAPS, {0, 1, -1, 2, -2, 0.5, -0.5}},
    {9, 3, {0, 0.4375, -0.4375, 0.875, -0.875, 1.5, -1.5, 4, -4}},
    {9, CVM_WINOGRAD_TAPS, {0, 0.375, -0.375, 0.875, -0.875, 1.5, -1.5, 3, -3}},
};

static const Points *find_points(int64_t tile, int64_t taps) {
    if (tile < 2 || taps < 2 || tile > CVM_WINOGRAD_SIDE || taps > CVM_WINOGRAD_TAPS)
        return NULL;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].side == tile + taps - 1 && taps <= table[i].taps)
            return &table[i];
    return NULL;
}

bool cvm_winograd_has_line(int64_t tile, int64_t taps) {
    return find_points(tile, taps) != NULL;
}

bool cvm_winograd_has(int64_t tile, int64_t taps) {
    return cvm_winograd_has_line(tile, taps) && (tile + taps - 1 < CVM_WINOGRAD_SIDE || taps == 3);
}

static int finite_points(const Points *points) {
    return points->side % 2 ? points->side : points->side - 1;
}

/* Coefficients, lowest first, of the product of (x - p) over all points but number `left_out`. */
static void product_without(const Points *points, int left_out, double *coefficients) {
    int degree = 0;
    coefficients[0] = 1;
    for (int i = 0; i < finite_points(points); i++) {
        if (i == left_out)
            continue;
        coefficients[++degree] = 0;
        for (int k = degree; k > 0; k--)
            coefficients[k] = coefficients[k - 1] - points->values[i] * coefficients[k];
        coefficients[0] *= -points->values[i];
    }
}

static double value_at(const double *coefficients, int degree, double x) {
    double value = 0;
    for (int i = degree; i >= 0; i--)
        value = value * x + coefficients[i];
    return value;
}

CvmWinogradMatrices cvm_winograd_matrices(int64_t tile, int64_t taps) {
    const Points *points = find_points(tile, taps);
    if (!points)
        abort(); /* callers ask cvm_winograd_has first */
    CvmWinogradMatrices matrices = {.tile = (int)tile, .taps = (int)taps, .side = points->side};
    int finite = finite_points(points);
    for (int i = 0; i < finite; i++) {
        double p = points->values[i];
        product_without(points, i, matrices.input[i]);
        double scale = value_at(matrices.input[i], finite - 1, p);
        for (int k = 0; k < taps; k++)
            matrices.weight[i][k] = pow(p, k);
        for (int k = 0; k < tile; k++)
            matrices.result[k][i] = pow(p, k) / scale;
    }
    if (finite == points->side)
        return matrices;
    product_without(points, finite, matrices.input[finite]);
    matrices.weight[finite][taps - 1] = 1;
    matrices.result[tile - 1][finite] = 1;
    return matrices;
}

void cvm_winograd_transform(const double left[CVM_WINOGRAD_SIDE][CVM_WINOGRAD_SIDE], int rows,
                            int columns, const double *in, double *out) {
    double half[CVM_WINOGRAD_SIDE][CVM_WINOGRAD_SIDE] = {{0}};
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            for (int k = 0; k < columns; k++)
                half[i][j] += left[i][k] * in[k * columns + j];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < rows; j++) {
            out[i * rows + j] = 0;
            for (int k = 0; k < columns; k++)
                out[i * rows + j] += half[i][k] * left[j][k];
        }
}
