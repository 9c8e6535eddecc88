# Twins of sightline/candidates.py and sightline/pairs.py.

# Below this many cells comparing everything with everything is quicker than a grid.
cdef enum:
    DENSE_CELLS = 2000
    SWEPT_CELLS = 40000
    MOST_LINES = 256
    COLUMNS = 4

cdef struct PairList:
    Py_ssize_t *first
    Py_ssize_t *second
    Py_ssize_t count
    Py_ssize_t room


cdef int add_pair(PairList *pairs, Py_ssize_t first, Py_ssize_t second) except -1:
    cdef Py_ssize_t room
    cdef void *memory
    if pairs.count == pairs.room:
        room = 2 * pairs.room + 64
        memory = realloc(pairs.first, room * sizeof(Py_ssize_t))
        if not memory:
            raise MemoryError
        pairs.first = <Py_ssize_t *>memory
        memory = realloc(pairs.second, room * sizeof(Py_ssize_t))
        if not memory:
            raise MemoryError
        pairs.second = <Py_ssize_t *>memory
        pairs.room = room
    pairs.first[pairs.count], pairs.second[pairs.count] = first, second
    pairs.count += 1
    return 0


cdef inline Py_ssize_t cell_of(double place, Py_ssize_t cells) noexcept:
    """Return the cell, 0 to `cells` - 1, that holds the place or is nearest to it."""
    if not place > 0:
        return 0
    return <Py_ssize_t>place if place < cells else cells - 1


cdef int find_pairs(
    PairList *found,
    const double[:, :] centre,
    const double[:] reach_x,
    const double[:] reach_y,
    const double[:, :] points,
) except -1:
    """Add all pairs whose points are within reach in x and in y, ordered by the first."""
    cdef Py_ssize_t n = centre.shape[1], m = points.shape[1], i, k
    if n * m > DENSE_CELLS:
        return pairs_in_grid(found, centre, reach_x, reach_y, points)
    for i in range(n):
        for k in range(m):
            if fabs(centre[0, i] - points[0, k]) <= reach_x[i] and fabs(centre[1, i] - points[1, k]) <= reach_y[i]:
                add_pair(found, i, k)
    return 0


cdef int pairs_in_grid(
    PairList *found,
    const double[:, :] centre,
    const double[:] reach_x,
    const double[:] reach_y,
    const double[:, :] points,
) except -1:
    """The same for many; points are sorted by line and column of a grid, as `_in_near_cells` does."""
    cdef Py_ssize_t n = centre.shape[1], m = points.shape[1], i, k, line, lines, columns, cell
    cdef Py_ssize_t first_column, last_column
    cdef double low_x = INFINITY, low_y = INFINITY, high_x = -INFINITY, high_y = -INFINITY, x, y, rx, ry, side
    for k in range(m):
        low_x, high_x = min(low_x, points[0, k]), max(high_x, points[0, k])
        low_y, high_y = min(low_y, points[1, k]), max(high_y, points[1, k])
    side = max(sqrt((high_x - low_x) * (high_y - low_y) / m), max(high_x - low_x, high_y - low_y) / MOST_LINES)
    if not side > 0:
        side = 1.0
    lines = <Py_ssize_t>((high_y - low_y) / side) + 1
    columns = <Py_ssize_t>((high_x - low_x) * COLUMNS / side) + 1
    cdef double per_x = COLUMNS / side, per_y = 1 / side
    cdef Py_ssize_t *starts = <Py_ssize_t *>calloc(lines * columns + 1, sizeof(Py_ssize_t))
    cdef Py_ssize_t *cells = <Py_ssize_t *>malloc(2 * m * sizeof(Py_ssize_t))
    cdef double *sorted_x = <double *>malloc(2 * m * sizeof(double))
    cdef Py_ssize_t *order = cells + m
    cdef double *sorted_y = sorted_x + m
    try:
        if not starts or not cells or not sorted_x:
            raise MemoryError
        for k in range(m):
            line = cell_of((points[1, k] - low_y) * per_y, lines)
            cells[k] = line * columns + cell_of((points[0, k] - low_x) * per_x, columns)
            starts[cells[k]] += 1
        cell = 0
        for k in range(lines * columns + 1):
            cell += starts[k]
            starts[k] = cell
        for k in range(m - 1, -1, -1):
            starts[cells[k]] -= 1
            i = starts[cells[k]]
            order[i], sorted_x[i], sorted_y[i] = k, points[0, k], points[1, k]
        for i in range(n):
            x, y, rx, ry = centre[0, i], centre[1, i], reach_x[i], reach_y[i]
            # A little further than the reach, which rounding must not narrow.
            first_column = cell_of((x - rx - low_x) * per_x - 1e-6, columns)
            last_column = cell_of((x + rx - low_x) * per_x + 1e-6, columns)
            for line in range(
                cell_of((y - ry - low_y) * per_y - 1e-6, lines), cell_of((y + ry - low_y) * per_y + 1e-6, lines) + 1
            ):
                cell = line * columns
                for k in range(starts[cell + first_column], starts[cell + last_column + 1]):
                    if fabs(x - sorted_x[k]) <= rx and fabs(y - sorted_y[k]) <= ry:
                        add_pair(found, i, order[k])
    finally:
        free(starts)
        free(cells)
        free(sorted_x)
    return 0


def near_pairs(const double[:, :] centre, const double[:] reach, const double[:, :] points):
    """Twin of `sightline.candidates.near_pairs`."""
    cdef PairList found = PairList(NULL, NULL, 0, 0)
    try:
        find_pairs(&found, centre, reach, reach, points)
        return index_array(found.first, found.count), index_array(found.second, found.count)
    finally:
        free(found.first)
        free(found.second)


cdef inline double shared_area(
    const double[:, :] a, Py_ssize_t row_a, Py_ssize_t i, const double[:, :] b, Py_ssize_t row_b, Py_ssize_t k
) noexcept:
    """Twin of `sightline.pairs._shared_area`, of one pair; the corners begin in these rows."""
    cdef double width = min(a[row_a + 2, i], b[row_b + 2, k]) - max(a[row_a, i], b[row_b, k])
    cdef double height = min(a[row_a + 3, i], b[row_b + 3, k]) - max(a[row_a + 1, i], b[row_b + 1, k])
    return max(width, 0.0) * max(height, 0.0)


def pair_ratio(
    const double[:, :] expected,
    const Py_ssize_t[:] track,
    const double[:, :] table,
    const Py_ssize_t[:] detection,
    double overlap_weight,
    double min_score,
):
    """Twin of `sightline.pairs.pair_ratio`, with `sightline.motion.log_ratio` in it."""
    cdef Py_ssize_t p, i, k, n = track.shape[0]
    cdef double x, y, size, centre, shared, sum
    if not model.is_known:
        learn_model()
    result = empty(n)
    cdef double[::1] ratio = result
    for p in range(n):
        i, k = track[p], detection[p]
        x, y, size = table[0, k] - expected[0, i], table[1, k] - expected[1, i], table[2, k] - expected[2, i]
        centre = model.centre_power * log(y * y + x * x + expected[3, i])
        sum = expected[5, i] - (centre + model.size_power * log(size * size + expected[4, i]))
        shared = shared_area(expected, 6, i, table, 4, k)
        sum += (shared / (expected[10, i] + table[8, k] - shared) - model.overlap_neutral) * overlap_weight
        if table[9, k] < min_score:
            sum -= model.weak
        ratio[p] = sum
    return result


cdef inline void rank(double value, double *best, double *rival) noexcept:
    """Let a value be the best, or the rival of the best, if it is."""
    if value > best[0]:
        best[0], rival[0] = value, best[0]
    elif value > rival[0]:
        rival[0] = value


def undisputed(
    const double[:] ratio,
    const Py_ssize_t[:] track,
    const Py_ssize_t[:] detection,
    Py_ssize_t n,
    Py_ssize_t m,
):
    """Twin of `sightline.pairs.undisputed`."""
    cdef Py_ssize_t pairs = ratio.shape[0], p, i, k, count = 0
    if not model.is_known:
        learn_model()
    cdef double *best = <double *>scratch(2 * (n + m) * sizeof(double))
    cdef double *rival = best + n + m
    cdef double value
    # A pair is the best of its track and of its detection, and clear of either's second best.
    result = empty(pairs, intp)
    cdef Py_ssize_t[::1] clear = result
    for i in range(2 * (n + m)):
        best[i] = -INFINITY
    for p in range(pairs):
        if ratio[p] > model.sure - model.margin:
            i, k = track[p], n + detection[p]
            rank(ratio[p], &best[i], &rival[i])
            rank(ratio[p], &best[k], &rival[k])
    for p in range(pairs):
        value = ratio[p]
        if value > model.sure:
            i, k = track[p], n + detection[p]
            if value == best[i] and value == best[k] and value - rival[i] > model.margin and value - rival[k] > model.margin:
                clear[count] = p
                count += 1
    free(best)
    return result[:count]


def open_pairs(
    const Py_ssize_t[:] track,
    const Py_ssize_t[:] detection,
    const double[:] ratio,
    const Py_ssize_t[:] detection_of,
    const Py_ssize_t[:] track_of,
    double least,
):
    """Twin of `sightline.pairs.open_pairs`."""
    cdef Py_ssize_t p, count = 0, n = track.shape[0]
    tracks, detections, ratios = empty(n, intp), empty(n, intp), empty(n)
    cdef Py_ssize_t[::1] open_track = tracks, open_detection = detections
    cdef double[::1] open_ratio = ratios
    for p in range(n):
        if ratio[p] > least and detection_of[track[p]] < 0 and track_of[detection[p]] < 0:
            open_track[count], open_detection[count], open_ratio[count] = track[p], detection[p], ratio[p]
            count += 1
    return tracks[:count], detections[:count], ratios[:count]


def hidden_part(
    const Py_ssize_t[:] track,
    const Py_ssize_t[:] detection,
    const Py_ssize_t[:] detection_of,
    const double[:, :] table,
    const Py_ssize_t[:] tracks,
):
    """Twin of `sightline.pairs.hidden_part`."""
    cdef Py_ssize_t p, i, own, other, k, count = tracks.shape[0]
    cdef double *hidden = <double *>scratch(detection_of.shape[0] * sizeof(double))
    result = empty(count)
    cdef double[::1] part = result
    for i in range(detection_of.shape[0]):
        hidden[i] = -1.0
    for k in range(count):
        hidden[tracks[k]] = 0.0
    for p in range(track.shape[0]):
        i, other = track[p], detection[p]
        own = detection_of[i]
        if own != other and hidden[i] >= 0.0 and table[7, other] > table[7, own]:
            hidden[i] = max(hidden[i], shared_area(table, 4, own, table, 4, other) / table[8, own])
    for k in range(count):
        part[k] = hidden[tracks[k]]
    free(hidden)
    return result
