/* See image_exif.h. EXIF data is "Exif\0\0" and a TIFF file without a picture: the byte order, 42,
 * where the first directory lies, and there a count and as many entries of 12 bytes: tag, type,
 * count, value. Every number is a stranger's claim, so each is read within bounds. */
#include "runtime/image_exif.h"

#include <stdbool.h>
#include <string.h>

enum {
    EXIF_BYTES = 6, /* "Exif\0\0" */
    TIFF_MAGIC = 42,
    ENTRY_BYTES = 12,
    ORIENTATION_TAG = 0x0112,
    TYPE_SHORT = 3,
};

typedef struct Tiff {
    const uint8_t *bytes;
    size_t size;
    bool little; /* byte order */
} Tiff;

/* The number of `size` bytes at `offset`; 0 beyond the end. */
static uint32_t number(const Tiff *tiff, size_t offset, size_t size) {
    uint32_t value = 0;
    if (offset > tiff->size || tiff->size - offset < size)
        return 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | tiff->bytes[offset + (tiff->little ? size - 1 - i : i)];
    return value;
}

static int entry_orientation(const Tiff *tiff, size_t entry) {
    if (number(tiff, entry, 2) != ORIENTATION_TAG || number(tiff, entry + 2, 2) != TYPE_SHORT ||
        number(tiff, entry + 4, 4) != 1)
        return 0;
    uint32_t value = number(tiff, entry + 8, 2);
    return value >= 1 && value <= 8 ? (int)value : 0;
}

int cvm_exif_orientation(const uint8_t *bytes, size_t size) {
    if (size < EXIF_BYTES + 2 || memcmp(bytes, "Exif\0", EXIF_BYTES) != 0)
        return 0;
    Tiff tiff = {bytes + EXIF_BYTES, size - EXIF_BYTES, bytes[EXIF_BYTES] == 'I'};
    if (memcmp(tiff.bytes, tiff.little ? "II" : "MM", 2) != 0 || number(&tiff, 2, 2) != TIFF_MAGIC)
        return 0;
    size_t directory = number(&tiff, 4, 4);
    uint32_t count = number(&tiff, directory, 2);
    int found = 0;
    for (uint32_t i = 0; i < count && !found; i++)
        found = entry_orientation(&tiff, directory + 2 + (size_t)i * ENTRY_BYTES);
    return found;
}
