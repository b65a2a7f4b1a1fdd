/* See text.h. */
#include "runtime/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

CvmShown cvm_shown(const char *text) {
    CvmShown shown;
    size_t length = 0;
    while (text[length] && length < CVM_SHOWN_BYTES - 4) {
        unsigned char byte = (unsigned char)text[length];
        shown.text[length++] = byte < 0x20 || byte == 0x7F ? '?' : (char)byte;
    }
    strcpy(shown.text + length, text[length] ? "..." : "");
    return shown;
}

/* How many bytes a character has that begins with this one; 0: none does. */
static size_t length_of(unsigned char first) {
    return first < 0x80   ? 1
           : first < 0xC2 ? 0
           : first < 0xE0 ? 2
           : first < 0xF0 ? 3
           : first < 0xF5 ? 4
                          : 0;
}

/* The bytes of the character that the text begins with, and its number; 0: it begins with none. The
 * least number of each length and the halves of UTF-16's pairs are no characters. */
static size_t read_character(const char *text, uint32_t *number) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = length_of((unsigned char)text[0]);
    *number = (unsigned char)text[0] & (length > 1 ? 0x7Fu >> length : 0x7Fu);
    for (size_t i = 1; i < length; i++) { /* the zero at the end is no continuation */
        unsigned char byte = (unsigned char)text[i];
        if ((byte & 0xC0) != 0x80)
            return 0;
        *number = *number << 6 | (byte & 0x3F);
    }
    bool is_character =
        *number >= least[length] && *number <= 0x10FFFF && (*number < 0xD800 || *number > 0xDFFF);
    return is_character ? length : 0;
}

static bool allows(CvmTextUse use, uint32_t number) {
    bool control = number < 0x20 || (number >= 0x7F && number < 0xA0);
    bool line_break = number == '\n' || number == '\r';
    return !control || use == CVM_TEXT_DATA || (use == CVM_TEXT_LINES && line_break);
}

char *cvm_clean_text(const char *text, CvmTextUse use) {
    char *clean = malloc(strlen(text) * (sizeof REPLACEMENT - 1) + 1), *end = clean;
    if (!clean)
        return NULL;
    while (*text) {
        uint32_t number;
        size_t length = read_character(text, &number);
        if (length && allows(use, number)) {
            memcpy(end, text, length);
            end += length;
        } else {
            memcpy(end, REPLACEMENT, sizeof REPLACEMENT - 1);
            end += sizeof REPLACEMENT - 1;
        }
        text += length ? length : 1;
    }
    *end = 0;
    return clean;
}
