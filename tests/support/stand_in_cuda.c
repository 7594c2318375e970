/* Stands in for libcuda.so.1: the GPU's memory is this process's; a queue is carried out at once. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static long taken;
static _Thread_local void *current;

int cuInit(unsigned flags) { return flags; }
int cuDeviceGet(int *device, int number) { *device = number; return number > 1 ? 101 : 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin", size); return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &taken; return device < 0; }
int cuCtxSetCurrent(void *context) { current = context; return context ? 0 : 201; }
int cuStreamCreate(void **stream, unsigned flags) { *stream = (void *)1; return current ? flags != 1 : 201; }
int cuMemAlloc_v2(uint64_t *place, size_t size)
{
    taken++;
    *place = (uint64_t)malloc(size);
    return getenv("CUDA_STAND_IN") ? 2 : 0;
}
int cuMemFree_v2(uint64_t place) { taken--; free((void *)place); return 0; }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream)
{
    if (!current || stream != (void *)1) return 201;
    memcpy((void *)to, from, size);
    return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream)
{
    if (!current || stream != (void *)1) return 201;
    memcpy(to, (void *)from, size);
    return 0;
}
int cuStreamSynchronize(void *stream) { return current && stream == (void *)1 ? 0 : 201; }
long stand_in_taken(void) { return taken; }
