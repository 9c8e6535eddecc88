# Twin of `history.codec.decode`, of paths in whole numbers.

cdef extern from *:
    """
    #define SL_ESCAPE 24
    #define SL_WIDE 40

    typedef struct { const uint8_t *at, *end; uint64_t bits; int count, bad; } sl_bits;

    static inline void sl_fill(sl_bits *b) {
        while (b->count <= 56 && b->at < b->end) {
            b->bits |= (uint64_t)*b->at++ << (56 - b->count);
            b->count += 8;
        }
    }

    static inline uint64_t sl_take(sl_bits *b, int n) {
        uint64_t value;
        if (!n) return 0;
        sl_fill(b);
        if (n > b->count) { b->bad = 1; return 0; }
        value = b->bits >> (64 - n);
        b->bits <<= n;
        b->count -= n;
        return value;
    }

    static inline uint64_t sl_rice(sl_bits *b, int parameter) {
        int ones;
        sl_fill(b);
        ones = ~b->bits ? __builtin_clzll(~b->bits) : 64;
        if (ones >= SL_ESCAPE) { sl_take(b, SL_ESCAPE); return sl_take(b, SL_WIDE); }
        if (ones + 1 > b->count) { b->bad = 1; return 0; }
        b->bits <<= ones + 1;
        b->count -= ones + 1;
        return (uint64_t)ones << parameter | sl_take(b, parameter);
    }

    static inline int64_t sl_signed(uint64_t v) { return (int64_t)(v >> 1) ^ -(int64_t)(v & 1); }

    static inline uint64_t sl_varint(sl_bits *b) {
        uint64_t value = 0;
        int shift = 0;
        while (b->at < b->end && shift < 63) {
            uint8_t byte = *b->at++;
            value |= (uint64_t)(byte & 127) << shift;
            if (byte < 128) return value;
            shift += 7;
        }
        b->bad = 1;
        return 0;
    }
    """
    ctypedef struct sl_bits:
        const uint8_t *at
        const uint8_t *end
        uint64_t bits
        int count
        int bad
    uint64_t sl_take(sl_bits *bits, int count) noexcept nogil
    uint64_t sl_rice(sl_bits *bits, int parameter) noexcept nogil
    int64_t sl_signed(uint64_t value) noexcept nogil
    uint64_t sl_varint(sl_bits *bits) noexcept nogil

cdef enum:
    MAX_FORM = 7

cdef struct Points:
    # A path's anchor: times, places, and whether the object had vanished before each.
    double *time_s
    double *x
    double *y
    uint8_t *vanished
    Py_ssize_t count
    Py_ssize_t room


cdef int make_room(Points *points, Py_ssize_t count) noexcept nogil:
    """Have room for so many points; 0 where there is no memory."""
    cdef void *memory
    if count <= points.room:
        return 1
    count = max(count, 2 * points.room)
    memory = realloc(points.time_s, count * sizeof(double))
    if memory:
        points.time_s = <double *>memory
        memory = realloc(points.x, count * sizeof(double))
    if memory:
        points.x = <double *>memory
        memory = realloc(points.y, count * sizeof(double))
    if memory:
        points.y = <double *>memory
        memory = realloc(points.vanished, count)
    if not memory:
        return 0
    points.vanished = <uint8_t *>memory
    points.room = count
    return 1


cdef void free_points(Points *points) noexcept nogil:
    free(points.time_s)
    free(points.x)
    free(points.y)
    free(points.vanished)


cdef int decode_path(
    const uint8_t *data,
    Py_ssize_t size,
    int64_t start_us,
    int64_t tick_us,
    double unit_px,
    double fx,
    double fy,
    Points *points,
) noexcept nogil:
    """Read a path of the forms 0..7; 0 where it is none, or damaged, or there is no memory."""
    cdef sl_bits bits
    cdef uint64_t head
    cdef int64_t left, bottom, width, height, ticks = 0
    cdef double px, x0, y0, x1, y1
    cdef int parameters[5]
    cdef int column, marked
    cdef Py_ssize_t row, count
    if size < 1 or data[0] > MAX_FORM:
        return 0
    px = unit_px / (1 << data[0])
    bits.at, bits.end, bits.bits, bits.count, bits.bad = data + 1, data + size, 0, 0, 0
    head = sl_varint(&bits)
    count, marked = <Py_ssize_t>(head >> 1), head & 1
    left = sl_signed(sl_varint(&bits))
    bottom = sl_signed(sl_varint(&bits))
    width = sl_signed(sl_varint(&bits))
    height = sl_signed(sl_varint(&bits))
    if bits.bad or count < 1 or count > 8 * size or not make_room(points, count):
        return 0
    points.count = count
    for column in range(5):
        parameters[column] = <int>sl_take(&bits, 5) if count > 1 else 0
    for row in range(count):
        if row:
            ticks += <int64_t>sl_rice(&bits, parameters[0]) + 1
            left += sl_signed(sl_rice(&bits, parameters[1]))
            bottom += sl_signed(sl_rice(&bits, parameters[2]))
            width += sl_signed(sl_rice(&bits, parameters[3]))
            height += sl_signed(sl_rice(&bits, parameters[4]))
        points.vanished[row] = <uint8_t>sl_take(&bits, 1) if marked else 0
        x0, y0, x1, y1 = left * px, (bottom - height) * px, (left + width) * px, bottom * px
        points.time_s[row] = (start_us + ticks * tick_us) / 1e6
        points.x[row] = x0 + (x1 - x0) * fx
        points.y[row] = y0 + (y1 - y0) * fy
    return not bits.bad
