/* See object.h: reading an object's facts out of its section without loading it. The file may be a
 * stranger's: every offset is checked before it is followed. */
#include "compiler/object/object.h"

#include "runtime/mapped_file.h"

#include <elf.h>
#include <string.h>

/* A part of the file, or NULL where it does not lie inside. */
static const void *part(const CvmMappedFile *file, uint64_t offset, uint64_t size) {
    uint64_t all = (uint64_t)file->size;
    if (offset > all || size > all - offset)
        return NULL;
    return (const char *)file->bytes + offset;
}

static bool is_object(const CvmMappedFile *file, Elf64_Ehdr *header) {
    const void *bytes = part(file, 0, sizeof *header);
    if (!bytes)
        return false;
    memcpy(header, bytes, sizeof *header);
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
           header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
           header->e_shentsize == sizeof(Elf64_Shdr);
}

static bool read_section(const CvmMappedFile *file, const Elf64_Ehdr *header, unsigned index,
                         Elf64_Shdr *section) {
    uint64_t offset;
    if (__builtin_add_overflow(header->e_shoff, (uint64_t)index * sizeof *section, &offset))
        return false;
    const void *bytes = part(file, offset, sizeof *section);
    if (bytes)
        memcpy(section, bytes, sizeof *section);
    return bytes != NULL;
}

/* The bytes of the section called name, which end with a zero; NULL: there is none. */
static const char *find_text(const CvmMappedFile *file, const char *name) {
    Elf64_Ehdr header;
    Elf64_Shdr names, section;
    size_t length = strlen(name) + 1;
    if (!is_object(file, &header) || !read_section(file, &header, header.e_shstrndx, &names))
        return NULL;
    for (unsigned i = 0; i < header.e_shnum; i++) {
        uint64_t at;
        if (!read_section(file, &header, i, &section) ||
            __builtin_add_overflow(names.sh_offset, section.sh_name, &at))
            return NULL;
        const char *called = part(file, at, length);
        const char *text = part(file, section.sh_offset, section.sh_size);
        if (called && memcmp(called, name, length) == 0)
            return section.sh_type != SHT_NOBITS && text && section.sh_size > 0 &&
                           text[section.sh_size - 1] == '\0'
                       ? text
                       : NULL;
    }
    return NULL;
}

const char *cvm_object_facts(const char *path, CvmArena *arena, CvmError *error) {
    CvmMappedFile file;
    if (!cvm_mapped_file_open(path, &file, error))
        return NULL;
    const char *text = find_text(&file, ".cvm.facts");
    const char *copy = text ? cvm_arena_copy(arena, text, strlen(text)) : NULL;
    if (!copy)
        cvm_error_set(error, CVM_ERROR_INPUT, "%.800s is no object that cvmc built", path);
    cvm_mapped_file_close(&file);
    return copy;
}
