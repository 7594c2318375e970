/* A camera at /dev/video9 for whatever process this library is preloaded into: OpenCV's own V4L2 code
 * runs, the driver is made up. It is a timer of 30 Hz that can be polled; its frames are Y U Y V, NV12 or
 * grey, of the size that is asked for, the luma of frame k is 16 + k, and their time is 5 ms ago.
 * FAKE_V4L2_FRAMES: how many it gives. FAKE_V4L2_THEN: "silent" (default) or "gone" (unplugged).
 * FAKE_V4L2_AFTER_S: seconds before the first.
 * Source: Linux, include/uapi/linux/videodev2.h.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MOST_BUFFERS 8
static const char *const DEVICE = "/dev/video9";
static int camera = -1, memory = -1;
static unsigned width = 640, height = 480, format = V4L2_PIX_FMT_YUYV, frames, buffers;
static int queued[MOST_BUFFERS];
static size_t buffer_bytes;

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

static size_t frame_bytes(void) {
    size_t pixels = (size_t)width * height;
    return format == V4L2_PIX_FMT_YUYV ? 2 * pixels : format == V4L2_PIX_FMT_NV12 ? pixels * 3 / 2 : pixels;
}

#define OPEN(NAME)                                                                        \
    int NAME(const char *path, int flags, ...) {                                          \
        va_list rest;                                                                     \
        va_start(rest, flags);                                                            \
        mode_t mode = va_arg(rest, mode_t);                                               \
        va_end(rest);                                                                     \
        int (*real)(const char *, int, ...) = next(#NAME);                                \
        if (strcmp(path, DEVICE)) return real(path, flags, mode);                         \
        return camera = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);      \
    }
OPEN(open)
OPEN(open64)

#define FSTAT(NAME, TYPE)                                        \
    int NAME(int file, struct TYPE *status) {                    \
        int (*real)(int, struct TYPE *) = next(#NAME);           \
        int result = real(file, status);                         \
        if (file == camera && file >= 0) {                       \
            status->st_mode = S_IFCHR | 0660;                    \
            status->st_rdev = makedev(81, 9);                    \
        }                                                        \
        return result;                                           \
    }
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    void *(*real)(void *, size_t, int, int, int, off_t) = next("mmap");
    return real(at, bytes, protection, flags, file >= 0 && file == camera ? memory : file, offset);
}
void *mmap64(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    return mmap(at, bytes, protection, flags, file, offset);
}

static void run_timer(int is_on) {
    long period_ns = is_on ? 1000000000 / 30 : 0;
    const char *after_s = getenv("FAKE_V4L2_AFTER_S");
    struct itimerspec time = {{0, period_ns}, {0, period_ns}};
    if (is_on && after_s && !frames) time.it_value.tv_sec = strtol(after_s, NULL, 10);
    timerfd_settime(camera, 0, &time, NULL);
}

static int refuse(int number) {
    errno = number;
    return -1;
}

static int dequeue(struct v4l2_buffer *buffer) {
    const char *most = getenv("FAKE_V4L2_FRAMES"), *then = getenv("FAKE_V4L2_THEN");
    unsigned long long due;
    unsigned index = 0;
    int is_going = then && !strcmp(then, "gone");
    if (is_going && most && frames >= strtoul(most, NULL, 10)) return refuse(ENODEV);
    while (index < buffers && !queued[index]) index++;
    if (index == buffers || read(camera, &due, sizeof due) < 0) return refuse(EAGAIN);
    queued[index] = 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long seen_us = now.tv_sec * 1000000LL + now.tv_nsec / 1000 - 5000;
    buffer->index = index;
    buffer->length = buffer_bytes;
    buffer->bytesused = frame_bytes();
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = seen_us / 1000000;
    buffer->timestamp.tv_usec = seen_us % 1000000;
    buffer->sequence = frames;
    unsigned char *data = mmap(NULL, buffer_bytes, PROT_WRITE, MAP_SHARED, memory, index * buffer_bytes);
    memset(data, 128, buffer->bytesused);
    for (size_t at = 0; at < (size_t)width * height; at++)
        data[format == V4L2_PIX_FMT_YUYV ? 2 * at : at] = 16 + frames;
    munmap(data, buffer_bytes);
    frames++;
    if (!is_going && most && frames >= strtoul(most, NULL, 10)) run_timer(0);
    return 0;
}

static int answer(unsigned long request, void *value) {
    switch (request) {
    case VIDIOC_QUERYCAP:
        memset(value, 0, sizeof(struct v4l2_capability));
        ((struct v4l2_capability *)value)->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        ((struct v4l2_capability *)value)->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_ENUM_FMT: {
        static const unsigned known[] = {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_GREY};
        struct v4l2_fmtdesc *asked = value;
        if (asked->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || asked->index >= 3) return refuse(EINVAL);
        asked->pixelformat = known[asked->index];
        return 0;
    }
    case VIDIOC_S_FMT: {
        const struct v4l2_pix_format *asked = &((struct v4l2_format *)value)->fmt.pix;
        width = asked->width, height = asked->height;
        if (asked->pixelformat == V4L2_PIX_FMT_NV12 || asked->pixelformat == V4L2_PIX_FMT_GREY ||
            asked->pixelformat == V4L2_PIX_FMT_YUYV)
            format = asked->pixelformat;
    } /* fall through */
    case VIDIOC_G_FMT: {
        struct v4l2_pix_format *given = &((struct v4l2_format *)value)->fmt.pix;
        given->width = width, given->height = height, given->pixelformat = format;
        given->bytesperline = format == V4L2_PIX_FMT_YUYV ? 2 * width : width;
        given->sizeimage = frame_bytes();
        return 0;
    }
    case VIDIOC_S_PARM:
    case VIDIOC_G_PARM:
        ((struct v4l2_streamparm *)value)->parm.capture.timeperframe = (struct v4l2_fract){1, 30};
        return 0;
    case VIDIOC_REQBUFS:
        buffers = ((struct v4l2_requestbuffers *)value)->count;
        if (memory >= 0) close(memory);
        memory = memfd_create("frames", MFD_CLOEXEC);
        buffer_bytes = ((size_t)width * height * 2 + 4095) / 4096 * 4096;
        return ftruncate(memory, buffer_bytes * buffers);
    case VIDIOC_QUERYBUF:
        ((struct v4l2_buffer *)value)->length = buffer_bytes;
        ((struct v4l2_buffer *)value)->m.offset = ((struct v4l2_buffer *)value)->index * buffer_bytes;
        return 0;
    case VIDIOC_QBUF:
        queued[((struct v4l2_buffer *)value)->index] = 1;
        return 0;
    case VIDIOC_DQBUF:
        return dequeue(value);
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF:
        run_timer(request == VIDIOC_STREAMON);
        return 0;
    }
    return refuse(EINVAL);
}

int ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *value = va_arg(rest, void *);
    va_end(rest);
    int (*real)(int, unsigned long, ...) = next("ioctl");
    return file >= 0 && file == camera ? answer(request, value) : real(file, request, value);
}
