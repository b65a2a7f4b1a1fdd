/* The plots of a trial's page, as SVG. */
#ifndef CVM_DRIVER_AB_PLOT_H
#define CVM_DRIVER_AB_PLOT_H

#include "compiler/driver/ab/trial.h"

#include <stdio.h>

/* The sides' colours, for what stands beside the plots. */
#define CVM_AB_COLOR_A "#2563eb"
#define CVM_AB_COLOR_B "#d97706"

/* Every run's time, in the order in which they were made, and both medians. */
void cvm_ab_plot_times(const CvmAbResult *result, FILE *out);

/* The ratio B / A of each block, and the trial's ratio with its interval. */
void cvm_ab_plot_ratios(const CvmAbResult *result, FILE *out);

#endif
