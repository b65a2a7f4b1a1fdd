/* The object cache: machine code by the text it was made from, in files that outlive the process.
 * A damaged, truncated or foreign file is ignored; two processes may write the same entry; the
 * folder is kept under a size limit by removing what was not used for longest. */
#ifndef CVM_CODEGEN_CACHE_H
#define CVM_CODEGEN_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/* The user's cache folder, $XDG_CACHE_HOME/cvm or ~/.cache/cvm, into path. False when neither
 * variable is set or the path is too long. */
bool cvm_cache_folder(char *path, size_t size);

/* The object stored under `key` (NUL-terminated): memory for free(), its size in *size; NULL when
 * there is none that is whole and made from exactly this key. */
void *cvm_cache_read(const char *folder, const char *key, size_t *size);

/* Stores an object; failing to is silent, since the cache only saves time. */
void cvm_cache_write(const char *folder, const char *key, const void *object, size_t size);

/* Removes the entries unused for longest until the folder holds at most `limit` bytes. */
void cvm_cache_trim(const char *folder, long long limit);

enum { CVM_CACHE_LIMIT = 256 << 20 };

#endif
