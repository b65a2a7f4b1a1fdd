/* Text from files of strangers, made fit for messages. */
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

#endif
