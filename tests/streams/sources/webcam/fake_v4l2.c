/*
 * A camera for tests: answers the V4L2 calls that a process makes on one FIFO, in place of the kernel.
 *
 * Loaded by LD_PRELOAD. FAKE_V4L2 is the path of the FIFO; each byte in it is a picture that is ready, so that
 * polling works. Files beside it change what happens: PATH.silent (no pictures come), PATH.unplugged (ENODEV).
 * Pictures are 64x48, YUYV or the JPEG in FAKE_JPEG, 20 per second, stamped by the monotonic clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BUFFERS = 4, WIDTH = 64, HEIGHT = 48, BYTES = WIDTH * HEIGHT * 2, PERIOD_US = 50000 };

static const char *path;
static int (*real_ioctl)(int, unsigned long, ...);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

static unsigned char *buffers[BUFFERS];
static int queued[BUFFERS];
static unsigned pixel_format = V4L2_PIX_FMT_YUYV;
static volatile int run, streaming_fd = -1;
static unsigned sequence;

__attribute__((constructor)) static void find_the_real_calls(void)
{
    path = getenv("FAKE_V4L2");
    real_ioctl = dlsym(RTLD_NEXT, "ioctl");
    real_mmap = dlsym(RTLD_NEXT, "mmap64");
}

static int is_camera(int fd)
{
    char link[64], found[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, found, sizeof found - 1);
    if (path == NULL || length < 0)
        return 0;
    found[length] = 0;
    return strcmp(found, path) == 0;
}

static int told_to_be(const char *what)
{
    char name[512];
    snprintf(name, sizeof name, "%s.%s", path, what);
    return access(name, F_OK) == 0;
}

static int failed(int code)
{
    errno = code;
    return -1;
}

static void *take_pictures(void *mine)
{
    while (run == (int)(long)mine) {
        usleep(PERIOD_US);
        if (!told_to_be("silent") && streaming_fd >= 0 && write(streaming_fd, "x", 1) < 0)
            break;
    }
    return NULL;
}

static int dequeue(int fd, struct v4l2_buffer *buffer)
{
    struct pollfd ready = {fd, POLLIN, 0};
    char byte;
    for (;;) {
        if (streaming_fd != fd)
            return failed(EINVAL);
        if (told_to_be("unplugged"))
            return failed(ENODEV);
        if (poll(&ready, 1, 5) > 0)
            break;
        if (fcntl(fd, F_GETFL) & O_NONBLOCK)
            return failed(EAGAIN);
    }
    if (read(fd, &byte, 1) != 1)
        return failed(EIO);
    for (int index = 0; index < BUFFERS; index++) {
        if (!queued[index])
            continue;
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        queued[index] = 0;
        memset(buffer, 0, sizeof *buffer);
        buffer->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        buffer->memory = V4L2_MEMORY_MMAP;
        buffer->index = index;
        buffer->length = buffer->bytesused = BYTES;
        buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        buffer->timestamp.tv_sec = now.tv_sec;
        buffer->timestamp.tv_usec = now.tv_nsec / 1000;
        buffer->sequence = sequence++;
        if (pixel_format == V4L2_PIX_FMT_MJPEG) {
            FILE *file = fopen(getenv("FAKE_JPEG"), "rb");
            buffer->bytesused = fread(buffers[index], 1, BYTES, file);
            fclose(file);
        } else {
            memset(buffers[index], 128, BYTES);
        }
        return 0;
    }
    return failed(EAGAIN);
}

static int set_format(int fd, struct v4l2_pix_format *pix, int change)
{
    if (change) {
        if (streaming_fd >= 0 && streaming_fd != fd)
            return failed(EBUSY);
        if (pix->pixelformat != V4L2_PIX_FMT_YUYV && pix->pixelformat != V4L2_PIX_FMT_MJPEG)
            return failed(EINVAL);
        pixel_format = pix->pixelformat;
    }
    pix->pixelformat = pixel_format;
    pix->width = WIDTH;
    pix->height = HEIGHT;
    pix->field = V4L2_FIELD_NONE;
    pix->bytesperline = WIDTH * 2;
    pix->sizeimage = BYTES;
    return 0;
}

static int start(int fd)
{
    pthread_t thread;
    streaming_fd = fd;
    run++;
    pthread_create(&thread, NULL, take_pictures, (void *)(long)run);
    pthread_detach(thread);
    return 0;
}

static int stop(int fd)
{
    if (streaming_fd != fd)
        return failed(EINVAL);
    streaming_fd = -1;
    run++;
    return 0;
}

static int answer(int fd, unsigned long request, void *argument)
{
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *found = argument;
        memset(found, 0, sizeof *found);
        found->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        found->capabilities = found->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return 0;
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index > 0)
            return failed(EINVAL);
        input->type = V4L2_INPUT_TYPE_CAMERA;
        input->std = 0;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *format = argument;
        if (format->index > 1)
            return failed(EINVAL);
        format->pixelformat = format->index ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV;
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *size = argument;
        if (size->index > 0)
            return failed(EINVAL);
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete.width = WIDTH;
        size->discrete.height = HEIGHT;
        return 0;
    }
    case VIDIOC_G_FMT:
    case VIDIOC_TRY_FMT:
    case VIDIOC_S_FMT:
        return set_format(fd, &((struct v4l2_format *)argument)->fmt.pix, request != VIDIOC_G_FMT);
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_streamparm *parameters = argument;
        memset(&parameters->parm, 0, sizeof parameters->parm);
        parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        parameters->parm.capture.timeperframe.numerator = 1;
        parameters->parm.capture.timeperframe.denominator = 20;
        return 0;
    }
    case VIDIOC_REQBUFS:
        ((struct v4l2_requestbuffers *)argument)->count = BUFFERS;
        return 0;
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        buffer->length = BYTES;
        buffer->m.offset = buffer->index * 4096;
        return 0;
    }
    case VIDIOC_QBUF:
        queued[((struct v4l2_buffer *)argument)->index] = 1;
        return 0;
    case VIDIOC_DQBUF:
        return dequeue(fd, argument);
    case VIDIOC_STREAMON:
        return start(fd);
    case VIDIOC_STREAMOFF:
        return stop(fd);
    default:
        return failed(ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    request &= 0xffffffff; /* callers disagree about the sign */
    if ((request >> 8 & 0xff) != 'V' || !is_camera(fd))
        return real_ioctl(fd, request, argument);
    return answer(fd, request, argument);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (fd < 0 || !is_camera(fd))
        return real_mmap(address, length, protection, flags, fd, offset);
    return buffers[offset / 4096] = real_mmap(NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap64(address, length, protection, flags, fd, offset);
}
