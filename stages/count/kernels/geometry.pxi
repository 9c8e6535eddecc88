# Twin of `geometry.Polyline`: the same operations in the same order.

cdef struct Gate:
    # A line, px: its points, where they are thought to be moved, and the lengths of its parts.
    const double *points
    const double *outward
    const double *lengths
    Py_ssize_t parts
    double band
    double left
    double top
    double right
    double bottom

cdef struct Span:
    double start
    double end

cdef struct Meeting:
    double share
    int side


cdef inline double orientation(
    double ax, double ay, double bx, double by, double cx, double cy
) noexcept nogil:
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


cdef inline double part_orientation(const Gate *gate, Py_ssize_t part, double x, double y) noexcept nogil:
    cdef const double *p = gate.points + 2 * part
    return orientation(p[0], p[1], p[2], p[3], x, y)


cdef inline double along_part(const Gate *gate, Py_ssize_t part, double x, double y) noexcept nogil:
    cdef const double *p = gate.points + 2 * part
    cdef double dx = p[2] - p[0], dy = p[3] - p[1]
    return ((x - p[0]) * dx + (y - p[1]) * dy) / (dx * dx + dy * dy)


cdef inline double squared_distance(const Gate *gate, Py_ssize_t part, double x, double y) noexcept nogil:
    cdef const double *p = gate.points + 2 * part
    cdef double along = along_part(gate, part, x, y)
    cdef double share = min(1.0, max(0.0, along))
    cdef double u = x - p[0] - share * (p[2] - p[0]), v = y - p[1] - share * (p[3] - p[1])
    return u * u + v * v


cdef int side_of(const Gate *gate, double x, double y) noexcept nogil:
    """Twin of `Polyline.side`."""
    cdef Py_ssize_t part, nearest = 0, bend = 0
    cdef double squared, least, along, turn
    cdef const double *p
    if gate.parts == 1:
        return 1 if part_orientation(gate, 0, x, y) > 0 else -1
    least = squared_distance(gate, 0, x, y)
    for part in range(1, gate.parts):
        squared = squared_distance(gate, part, x, y)
        if squared < least:
            least, nearest = squared, part
    along = along_part(gate, nearest, x, y)
    if along <= 0:
        bend = nearest
    elif along >= 1:
        bend = nearest + 1
    if 0 < bend < gate.parts:
        p = gate.points + 2 * (bend - 1)
        turn = orientation(p[0], p[1], p[2], p[3], p[4], p[5])
        if turn != 0:
            return -1 if turn > 0 else 1
    return 1 if part_orientation(gate, nearest, x, y) > 0 else -1


cdef inline int is_right(
    const Gate *gate, Py_ssize_t number, double ox, double oy, double tx, double ty
) noexcept nogil:
    cdef const double *p = gate.points + 2 * number
    cdef const double *o = gate.outward + 2 * number
    cdef double turn = orientation(ox, oy, tx, ty, p[0], p[1])
    if turn != 0:
        return turn > 0
    return (tx - ox) * o[1] - (ty - oy) * o[0] > 0


cdef Py_ssize_t crossings_of(
    const Gate *gate, double ox, double oy, double tx, double ty, Meeting *found
) noexcept nogil:
    """Twin of `Polyline.crossings`; `found` has room for one meeting a part."""
    cdef Py_ssize_t part, n = 0, i
    cdef double from_line, to_line
    cdef int corner = -1, following
    cdef Meeting met
    for part in range(gate.parts):
        from_line = part_orientation(gate, part, ox, oy)
        to_line = part_orientation(gate, part, tx, ty)
        if (from_line > 0) == (to_line > 0):
            corner = -1
            continue
        if corner < 0:
            corner = is_right(gate, part, ox, oy, tx, ty)
        following = is_right(gate, part + 1, ox, oy, tx, ty)
        if corner != following:
            met.share = from_line / (from_line - to_line)
            met.side = 1 if to_line > 0 else -1
            i = n
            while i > 0 and (
                found[i - 1].share > met.share
                or (found[i - 1].share == met.share and found[i - 1].side > met.side)
            ):
                found[i] = found[i - 1]
                i -= 1
            found[i] = met
            n += 1
        corner = following
    return n


cdef inline int clipped(double origin, double step, double low, double high, Span *span) noexcept nogil:
    cdef double first, second
    if step == 0:
        span.start, span.end = 0.0, 1.0
        return low <= origin <= high
    first, second = (low - origin) / step, (high - origin) / step
    if first <= second:
        span.start, span.end = first, second
    else:
        span.start, span.end = second, first
    return 1


cdef inline void widen(Span *all_, Span one, int *any_) noexcept nogil:
    """Add a span of the path, cut to the path, to what is known of a part."""
    cdef double end = min(1.0, one.end)
    if not (one.start <= end and one.end >= 0.0):
        return
    one.start, one.end = max(0.0, one.start), end
    if any_[0]:
        all_.start, all_.end = min(all_.start, one.start), max(all_.end, one.end)
    else:
        all_[0] = one
        any_[0] = 1


cdef int within_part(
    const Gate *gate,
    Py_ssize_t part,
    double ox,
    double oy,
    double tx,
    double ty,
    double step,
    Span *span,
) noexcept nogil:
    """Twin of `geometry._within`; `step` is the path's length."""
    cdef const double *p = gate.points + 2 * part
    cdef double length = gate.lengths[part], radius = gate.band
    cdef double dx = (p[2] - p[0]) / length, dy = (p[3] - p[1]) / length
    cdef double x = ox - p[0], y = oy - p[1], ux = tx - ox, uy = ty - oy
    cdef double cx, cy, miss, middle, half
    cdef Span along, aside, one
    cdef int found = 0, end
    if step == 0:
        span.start, span.end = 0.0, 1.0
        return sqrt(squared_distance(gate, part, ox, oy)) <= radius
    if clipped(x * dx + y * dy, ux * dx + uy * dy, 0.0, length, &along) and clipped(
        y * dx - x * dy, uy * dx - ux * dy, -radius, radius, &aside
    ):
        one.start, one.end = max(along.start, aside.start), min(along.end, aside.end)
        widen(span, one, &found)
    for end in range(2):
        cx, cy = (p[2] - ox, p[3] - oy) if end else (-x, -y)
        miss = (ux * cy - uy * cx) / step
        if fabs(miss) <= radius:
            middle, half = (ux * cx + uy * cy) / step, sqrt(radius * radius - miss * miss)
            one.start, one.end = (middle - half) / step, (middle + half) / step
            widen(span, one, &found)
    return found


cdef Py_ssize_t within_of(
    const Gate *gate, double ox, double oy, double tx, double ty, double step, Span *spans
) noexcept nogil:
    """Twin of `Polyline.within`; `spans` has room for one a part."""
    cdef Py_ssize_t part, n = 0, i, joined
    cdef Span one
    for part in range(gate.parts):
        if not within_part(gate, part, ox, oy, tx, ty, step, &one):
            continue
        i = n
        while i > 0 and (
            spans[i - 1].start > one.start
            or (spans[i - 1].start == one.start and spans[i - 1].end > one.end)
        ):
            spans[i] = spans[i - 1]
            i -= 1
        spans[i] = one
        n += 1
    if n < 2:
        return n
    joined = 0
    for i in range(1, n):
        if spans[i].start <= spans[joined].end:
            spans[joined].end = max(spans[joined].end, spans[i].end)
        else:
            joined += 1
            spans[joined] = spans[i]
    return joined + 1
