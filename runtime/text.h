/* Text from files of strangers and names of files, made fit for messages and results. */
#ifndef CVM_RUNTIME_TEXT_H
#define CVM_RUNTIME_TEXT_H

enum { CVM_SHOWN_BYTES = 96 };

typedef struct CvmShown {
    char text[CVM_SHOWN_BYTES];
} CvmShown;

/* `text` shortened to fit, with '?' for every control character, so that a name out of a file can
 * neither flood a message nor steer the terminal. Use: cvm_shown(name).text within one expression.
 */
CvmShown cvm_shown(const char *text);

/* What a text is for, and so which control characters it may have. */
typedef enum CvmTextUse {
    CVM_TEXT_LINE,  /* none: part of a line that a terminal shows */
    CVM_TEXT_LINES, /* line breaks alone: several lines, or a quoted field of CSV */
    CVM_TEXT_DATA,  /* all: what reads it escapes them (JSON) */
} CvmTextUse;

/* A copy of the text in which U+FFFD stands for every byte that is no part of valid UTF-8 (RFC
 * 3629) and every control character (of ASCII, and U+0080 to U+009F) that the use does not allow.
 * To be freed; NULL without memory. */
char *cvm_clean_text(const char *text, CvmTextUse use);

#endif
