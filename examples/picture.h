/* Pictures for the examples: PGM and PPM files, the simplest there are. Others become such with
 * `djpeg photo.jpg > photo.ppm` or `pngtopnm photo.png > photo.ppm`; a program of yours has a
 * decoder of its own, and only needs rows of pixels. */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Picture {
    int width, height, channels; /* 1 grey, 3 RGB */
    uint8_t *pixels;             /* [height][width][channels]; for free() */
} Picture;

/* 0: it could not be read. */
static inline int read_picture(const char *path, Picture *picture) {
    int depth = 0, read = 0;
    char kind = 0;
    FILE *file = fopen(path, "rb");
    picture->pixels = NULL;
    if (!file)
        return 0;
    if (fscanf(file, "P%c %d %d %d", &kind, &picture->width, &picture->height, &depth) == 4 &&
        (kind == '5' || kind == '6') && depth == 255 && picture->width > 0 && picture->height > 0 &&
        picture->width <= 16384 && picture->height <= 16384) {
        picture->channels = kind == '5' ? 1 : 3;
        size_t size = (size_t)picture->width * (size_t)picture->height * (size_t)picture->channels;
        fgetc(file); /* the one space before the pixels */
        picture->pixels = malloc(size);
        read = picture->pixels && fread(picture->pixels, 1, size, file) == size;
    }
    fclose(file);
    return read;
}

#endif
