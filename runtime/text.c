/* See text.h. */
#include "runtime/text.h"

#include <string.h>

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
