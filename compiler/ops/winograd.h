/* Winograd's minimal filtering F(m x m, r x r): m x m results of an r x r convolution from n x n
 * inputs, n = m + r - 1, with n^2 multiplications a channel instead of r^2 m^2 (A. Lavin and
 * S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016):
 *
 *   y = A [ (G g G^t) * (B d B^t) ] A^t     * element by element, summed over the channels
 *
 * The gradient of the filters is a convolution of the inputs with the gradient of the results, cut
 * into tiles of m x m that are summed: F(r x r, m x m), with as many inputs to a tile.
 *
 * The matrices come from the points at which polynomials are evaluated (Toom-Cook): 0, pairs of
 * opposite ones, and where n is even, infinity. Those here were chosen for small errors;
 * docs/performance.md has them. Errors grow with n, and with the channels that are summed one after
 * the other: where n is large, those are CVM_WINOGRAD_SUMMED at most, whose sums are then added up.
 */
#ifndef CVM_OPS_WINOGRAD_H
#define CVM_OPS_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CVM_WINOGRAD_SIDE = 9,  /* most inputs along a side of a tile */
    CVM_WINOGRAD_LARGE = 8, /* sides from which on sums are kept short: */
    CVM_WINOGRAD_SUMMED = 128,
    CVM_WINOGRAD_TAPS = 7,           /* most taps along a side of a filter */
    CVM_WINOGRAD_ROWS_OUTPUTS = 256, /* most output channels of what is filtered along rows */
    /* So few tiles are multiplied by one work item for a part of the output channels. Then it may
     * as well transform the filters of its part, which is less to fetch from memory. */
    CVM_WINOGRAD_FEW_TILES = 64,
};

typedef struct CvmWinogradMatrices {
    int tile, taps, side;                                /* m, r, n */
    double input[CVM_WINOGRAD_SIDE][CVM_WINOGRAD_SIDE];  /* B: n x n */
    double weight[CVM_WINOGRAD_SIDE][CVM_WINOGRAD_SIDE]; /* G: n x r */
    double result[CVM_WINOGRAD_SIDE][CVM_WINOGRAD_SIDE]; /* A: m x n */
} CvmWinogradMatrices;

/* Whether there are matrices for tiles and filters of these sizes: for n = m + r - 1 of 4, 6 and 8,
 * and F(7x7, 3x3). */
bool cvm_winograd_has(int64_t tile, int64_t taps);
/* The same for one row, F(m, r), where errors do not multiply: any of n = 9 too. */
bool cvm_winograd_has_line(int64_t tile, int64_t taps);
CvmWinogradMatrices cvm_winograd_matrices(int64_t tile, int64_t taps);

/* How many of so many output channels lie side by side in transformed weights: two vectors, or one
 * where they do not divide by two. */
int64_t cvm_winograd_step(int64_t outputs, int64_t lanes);

/* out[rows][rows] = left in left^t, of a [columns][columns] matrix: for the references. */
void cvm_winograd_transform(const double left[CVM_WINOGRAD_SIDE][CVM_WINOGRAD_SIDE], int rows,
                            int columns, const double *in, double *out);

#endif
