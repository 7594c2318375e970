/* Lets libcamera's virtual pipeline run on a machine that is not made for cameras, in whatever process this library
 * is preloaded into. libcamera and picamera2 take buffers from /dev/dma_heap, which few machines have: opening a heap
 * gives a memory file here, to allocate from it another one of just the length that is asked for; to name or to
 * synchronise that does nothing. The pipeline's description is read from the file that FAKE_VIRTUAL_YAML names.
 * Source: Linux, include/uapi/linux/dma-heap.h and dma-buf.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char HEAPS[] = "/dev/dma_heap/", DESCRIPTION[] = "/pipeline/virtual/virtual.yaml";

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

static const char *redirected(const char *path) {
    size_t length = strlen(path), end = sizeof DESCRIPTION - 1;
    const char *own = getenv("FAKE_VIRTUAL_YAML");
    return own && length >= end && !strcmp(path + length - end, DESCRIPTION) ? own : path;
}

#define OPEN(NAME)                                                                              \
    int NAME(const char *path, int flags, ...) {                                                \
        va_list rest;                                                                           \
        va_start(rest, flags);                                                                  \
        mode_t mode = va_arg(rest, mode_t);                                                     \
        va_end(rest);                                                                           \
        int (*real)(const char *, int, ...) = next(#NAME);                                      \
        if (!strncmp(path, HEAPS, sizeof HEAPS - 1)) return memfd_create("heap", MFD_CLOEXEC);  \
        return real(redirected(path), flags, mode);                                             \
    }
OPEN(open)
OPEN(open64)

#define STAT(NAME)                                                                    \
    int NAME(const char *restrict path, struct NAME *restrict status) {               \
        int (*real)(const char *, struct NAME *) = next(#NAME);                       \
        return real(redirected(path), status);                                        \
    }
STAT(stat)
STAT(stat64)

int ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *value = va_arg(rest, void *);
    va_end(rest);
    int (*real)(int, unsigned long, ...) = next("ioctl");
    if (request == DMA_HEAP_IOCTL_ALLOC) {
        struct dma_heap_allocation_data *asked = value;
        int made = memfd_create("buffer", MFD_CLOEXEC);
        if (made < 0) return -1;
        asked->fd = made;
        return ftruncate(made, asked->len);
    }
    if (_IOC_TYPE(request) == DMA_BUF_BASE && _IOC_NR(request) <= 1) return 0;
    return real(file, request, value);
}
