/* A folder of pictures as a data set: each sub-folder is a class, and the PNG and JPEG files in it
 * and in folders below it are its pictures. Links are followed. Listing reads no picture. */
#ifndef CVM_RUNTIME_PICTURE_FOLDER_H
#define CVM_RUNTIME_PICTURE_FOLDER_H

#include "runtime/error.h"

#include <stdint.h>

/* Names in the order of their bytes; all owned. */
typedef struct CvmNames {
    char **list;
    int64_t count;
} CvmNames;

void cvm_names_free(CvmNames *names);

/* The names of the sub-folders, sorted; hidden ones are none. Errors: the folder cannot be read
 * (machine), or has none (input). */
bool cvm_picture_classes(const char *path, CvmNames *classes, CvmError *error);

/* The names of the PNG and JPEG files in a folder and below it ("sub/name.png"), sorted; hidden
 * ones are none. Errors: a folder that cannot be read (machine), there are none, or folders lie
 * more than 16 deep (input). */
bool cvm_picture_names(const char *path, CvmNames *names, CvmError *error);

typedef struct CvmPictureFolder {
    char *path;
    CvmNames files;      /* "class/name.png" or "class/sub/name.png", by class and then by name */
    int32_t *labels;     /* of each */
    int64_t skipped;     /* entries that are neither class nor picture, hidden ones too */
    char *first_skipped; /* one of them, NULL where there is none */
} CvmPictureFolder;

/* Lists the pictures of the classes, whose names are the sub-folders' and whose numbers are the
 * labels. Errors: a folder that cannot be read (machine); a sub-folder that is none of the classes;
 * where `complete`, a class without a sub-folder or without pictures; no picture at all (input). */
bool cvm_picture_folder_list(const char *path, const char *const *classes, int class_count,
                             bool complete, CvmPictureFolder *folder, CvmError *error);
void cvm_picture_folder_free(CvmPictureFolder *folder);

/* Keeps one part of a folder that is divided at random, each class by itself: `fraction` of its
 * pictures, rounded, at least one and not all, or (held_out false) the others. It depends on the
 * seed and the pictures' names alone, so that a picture more or less moves few of the others. Error
 * (input): a class with less than two pictures. */
bool cvm_picture_folder_split(CvmPictureFolder *folder, double fraction, uint64_t seed,
                              bool held_out, CvmError *error);

#endif
