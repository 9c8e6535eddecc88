# Twin of `lines.watch.LineWatch`, of one object whose whole path is known.

cdef extern from "math.h" nogil:
    double hypot(double, double)

cdef struct Stay:
    int is_there
    int inside
    int home
    int net
    int has_passage
    double until_s
    double sight_s
    double passage_s
    double passage_x
    double passage_y

cdef struct Found:
    int64_t row
    int64_t to_right
    double time_s
    double x
    double y
    double known_s

cdef struct Findings:
    Found *found
    Py_ssize_t count
    Py_ssize_t room
    int failed


cdef void finalise(Stay *stay, int64_t row, Findings *out) noexcept nogil:
    """Twin of `LineWatch._finalise`."""
    cdef Found *memory
    stay.is_there = 0
    if not stay.has_passage:
        return
    if out.count == out.room:
        memory = <Found *>realloc(out.found, max(64, 2 * out.room) * sizeof(Found))
        if not memory:
            out.failed = 1
            return
        out.found = memory
        out.room = max(64, 2 * out.room)
    out.found[out.count] = Found(
        row, stay.home < 0, stay.passage_s, stay.passage_x, stay.passage_y, stay.sight_s
    )
    out.count += 1


cdef void count_path(
    const Gate *gate,
    double hold_s,
    const Points *path,
    int finished,
    int64_t row,
    Span *spans,
    Meeting *met,
    Findings *out,
) noexcept nogil:
    """Twin of `LineWatch`: `begin`, a `step` from each point to the next, and `finish`."""
    cdef Stay stay
    cdef Py_ssize_t i, number, n, meetings, taken
    cdef double last_s, ox, oy, now_s, tx, ty, came_s, came_x, came_y
    cdef int side
    memset(&stay, 0, sizeof(stay))
    last_s, ox, oy = path.time_s[0], path.x[0], path.y[0]
    if within_of(gate, ox, oy, ox, oy, 0.0, spans):
        stay.is_there = stay.inside = 1
        stay.until_s = stay.sight_s = last_s
    for i in range(1, path.count):
        now_s, tx, ty = path.time_s[i], path.x[i], path.y[i]
        if stay.is_there and not stay.inside and path.vanished[i]:
            finalise(&stay, row, out)
        n = 0
        if not (
            (ox < gate.left and tx < gate.left)
            or (ox > gate.right and tx > gate.right)
            or (oy < gate.top and ty < gate.top)
            or (oy > gate.bottom and ty > gate.bottom)
        ):
            n = within_of(gate, ox, oy, tx, ty, hypot(tx - ox, ty - oy), spans)
        meetings = crossings_of(gate, ox, oy, tx, ty, met) if n else 0
        taken = 0
        for number in range(n):
            if not stay.is_there or not stay.inside:
                came_s = last_s + (now_s - last_s) * spans[number].start
                if stay.is_there:
                    if came_s - stay.until_s >= hold_s:
                        finalise(&stay, row, out)
                    else:
                        stay.inside = 1
                if not stay.is_there:
                    came_x = ox + (tx - ox) * spans[number].start
                    came_y = oy + (ty - oy) * spans[number].start
                    stay.is_there = stay.inside = 1
                    stay.home = side_of(gate, came_x, came_y)
                    stay.net = stay.has_passage = 0
                    stay.until_s = came_s
                    stay.sight_s = now_s
            while taken < meetings and (met[taken].share <= spans[number].end or number == n - 1):
                stay.net += met[taken].side
                if stay.home == -met[taken].side:
                    stay.has_passage = 1
                    stay.passage_s = last_s + (now_s - last_s) * met[taken].share
                    stay.passage_x = ox + (tx - ox) * met[taken].share
                    stay.passage_y = oy + (ty - oy) * met[taken].share
                taken += 1
            if spans[number].end < 1:
                side = side_of(
                    gate,
                    ox + (tx - ox) * spans[number].end,
                    oy + (ty - oy) * spans[number].end,
                )
                stay.until_s = last_s + (now_s - last_s) * spans[number].end
                stay.inside = 0
                if not (stay.home == -side and stay.net * side > 0):
                    stay.is_there = 0
        if stay.is_there:
            stay.sight_s = now_s
            if stay.inside:
                stay.until_s = now_s
            elif now_s - stay.until_s >= hold_s:
                finalise(&stay, row, out)
        last_s, ox, oy = now_s, tx, ty
    if finished and stay.is_there and not stay.inside:
        finalise(&stay, row, out)


cdef int part_near(const Gate *gate, const Points *path, Points *near) noexcept nogil:
    """Point at the part of a path outside of which no step comes near the gate; 0 if none does."""
    cdef Py_ssize_t i, first = -1, last = -1
    for i in range(1, path.count):
        if not (
            (path.x[i - 1] < gate.left and path.x[i] < gate.left)
            or (path.x[i - 1] > gate.right and path.x[i] > gate.right)
            or (path.y[i - 1] < gate.top and path.y[i] < gate.top)
            or (path.y[i - 1] > gate.bottom and path.y[i] > gate.bottom)
        ):
            if first < 0:
                first = i - 1
            last = i
    if first < 0:
        return 0
    near.time_s, near.x, near.y = path.time_s + first, path.x + first, path.y + first
    near.vanished, near.count, near.room = path.vanished + first, last - first + 1, 0
    return 1


cdef int same_directions(const Findings *a, Py_ssize_t from_a, const Findings *b) noexcept nogil:
    """Whether those of `a` from a number on lead the same ways as all of `b`."""
    cdef Py_ssize_t i, n = a.count - from_a
    if n != b.count:
        return 0
    for i in range(n):
        if a.found[from_a + i].to_right != b.found[i].to_right:
            return 0
    return 1
