/* The commands of cvmc, one file each. A command gets the parsed command line and returns the exit
 * code; it has reported what went wrong. */
#ifndef CVM_DRIVER_COMMAND_H
#define CVM_DRIVER_COMMAND_H

#include "compiler/driver/options.h"

int cvm_command_check(const CvmOptions *options);
int cvm_command_fmt(const CvmOptions *options);
int cvm_command_run(const CvmOptions *options);
int cvm_command_train(const CvmOptions *options);
int cvm_command_eval(const CvmOptions *options);
int cvm_command_predict(const CvmOptions *options);
int cvm_command_samples(const CvmOptions *options);
int cvm_command_ab(const CvmOptions *options);
int cvm_command_bisect(const CvmOptions *options);
int cvm_command_verify(const CvmOptions *options);
int cvm_command_passes(const CvmOptions *options);
int cvm_command_explain(const CvmOptions *options);
int cvm_command_bench(const CvmOptions *options);
int cvm_command_build(const CvmOptions *options);
int cvm_command_dump(const CvmOptions *options);
int cvm_command_export(const CvmOptions *options);
int cvm_command_inspect(const CvmOptions *options);
int cvm_command_import(const CvmOptions *options);

#endif
