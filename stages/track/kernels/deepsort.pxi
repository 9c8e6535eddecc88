# Twins of kalman.py, boxes.py, gallery.py and association.py: DeepSORT, and what others share with it.


def advance(double[:, :, :] state, const double[:, :, :, :] process, double frames):
    """Twin of `kalman.advance`."""
    cdef Py_ssize_t i, c
    cdef double height_squared, moved, gained
    for i in range(state.shape[1]):
        height_squared = state[0, i, 3] * state[0, i, 3]
        for c in range(4):
            moved, gained = frames * state[1, i, c], frames * state[4, i, c]
            state[2, i, c] += (2 * state[3, i, c] + gained) * frames
            state[0, i, c] += moved
            state[3, i, c] += gained
            state[2, i, c] += height_squared * (frames * process[0, 0, 0, c]) + frames * process[1, 0, 0, c]
            state[4, i, c] += height_squared * (frames * process[0, 1, 0, c]) + frames * process[1, 1, 0, c]


def amend(double[:, :, :] state, const double[:, :] xyah, const double[:, :] spread, seen):
    """Twin of `kalman.amend`."""
    cdef Py_ssize_t i, c
    cdef double gain, velocity_gain, off, covariance
    cdef const unsigned char[:] is_seen
    cdef bint all_seen = seen is None
    if not all_seen:
        is_seen = seen
    for i in range(state.shape[1]):
        if all_seen or is_seen[i]:
            for c in range(4):
                covariance = state[3, i, c]
                gain, velocity_gain = state[2, i, c] / spread[i, c], covariance / spread[i, c]
                off = xyah[i, c] - state[0, i, c]
                state[0, i, c] += gain * off
                state[1, i, c] += velocity_gain * off
                state[2, i, c] -= gain * state[2, i, c]
                state[3, i, c] -= gain * covariance
                state[4, i, c] -= velocity_gain * covariance


def spread_of(const double[:, :, :] state, const double[:, :] measured):
    """Twin of `kalman.spread_of`."""
    cdef Py_ssize_t i, c
    cdef double height_squared
    result = empty((state.shape[1], 4))
    cdef double[:, ::1] spread = result
    for i in range(state.shape[1]):
        height_squared = state[0, i, 3] * state[0, i, 3]
        for c in range(4):
            spread[i, c] = height_squared * measured[0, c] + measured[1, c] + state[2, i, c]
    return result


def xyah_to_xyxy(const double[:, :] xyah):
    """Twin of `boxes.xyah_to_xyxy`."""
    cdef Py_ssize_t i
    cdef double half_width, half_height
    result = empty((xyah.shape[0], 4))
    cdef double[:, ::1] xyxy = result
    for i in range(xyah.shape[0]):
        half_height = max(xyah[i, 3], 0.0)
        half_width = max(xyah[i, 2], 0.0) * half_height * 0.5
        half_height *= 0.5
        xyxy[i, 0], xyxy[i, 1] = xyah[i, 0] - half_width, xyah[i, 1] - half_height
        xyxy[i, 2], xyxy[i, 3] = xyah[i, 0] + half_width, xyah[i, 1] + half_height
    return result


def gated_pairs(position, const double[:, :] spread, xyah):
    """Twin of `association.gated_pairs`."""
    cdef const double[:, :] centre = position.T, points = xyah.T
    cdef Py_ssize_t n = centre.shape[1], i, k, c, p, kept = 0
    cdef double distance, off
    cdef PairList found = PairList(NULL, NULL, 0, 0)
    if not model.is_known:
        learn_model()
    # A little further than the gate, which rounding must not narrow.
    half = empty((2, n))
    cdef double[:, ::1] reach = half
    for i in range(n):
        reach[0, i], reach[1, i] = sqrt(1.0001 * model.gate * spread[i, 0]), sqrt(1.0001 * model.gate * spread[i, 1])
    try:
        find_pairs(&found, centre, reach[0], reach[1], points)
        for p in range(found.count):
            i, k = found.first[p], found.second[p]
            distance = 0.0
            for c in range(4):
                off = points[c, k] - centre[c, i]
                distance += off * off / spread[i, c]
            if distance <= model.gate:
                found.first[kept], found.second[kept] = i, k
                kept += 1
        return index_array(found.first, kept), index_array(found.second, kept)
    finally:
        free(found.first)
        free(found.second)


def overlapping_pairs(a_xyxy, b_xyxy):
    """Twin of `boxes.overlapping_pairs`, which itself sweeps over what is too much for brute force."""
    if len(a_xyxy) * len(b_xyxy) > SWEPT_CELLS:
        from stages.track.kernels import REFERENCE

        return REFERENCE["overlapping_pairs"](a_xyxy, b_xyxy)
    cdef const double[:, :] a = asarray(a_xyxy, float64).T, b = asarray(b_xyxy, float64).T
    cdef Py_ssize_t i, k
    cdef double[::1] iou
    cdef PairList found = PairList(NULL, NULL, 0, 0)
    try:
        for i in range(a.shape[1]):
            for k in range(b.shape[1]):
                if shared_area(a, 0, i, b, 0, k) > 0.0:
                    add_pair(&found, i, k)
        result = empty(found.count)
        iou = result
        fill_iou(&found, a, b, iou)
        return index_array(found.first, found.count), index_array(found.second, found.count), result
    finally:
        free(found.first)
        free(found.second)


cdef int fill_iou(const PairList *found, const double[:, :] a, const double[:, :] b, double[:] iou) except -1:
    cdef Py_ssize_t i, k, p
    cdef double shared, area
    for p in range(found.count):
        i, k = found.first[p], found.second[p]
        shared = shared_area(a, 0, i, b, 0, k)
        area = (a[2, i] - a[0, i]) * (a[3, i] - a[1, i]) + (b[2, k] - b[0, k]) * (b[3, k] - b[1, k])
        iou[p] = shared / (area - shared)
    return 0


def append_looks(
    float[:, :] newest,
    float[:, :, :] ring,
    int64_t[:] added,
    const Py_ssize_t[:] slots,
    const float[:, :] embedding,
):
    """Twin of `gallery.append_looks`."""
    cdef Py_ssize_t k, slot, place, c
    for k in range(slots.shape[0]):
        slot = slots[k]
        place = added[slot] % ring.shape[1]
        for c in range(embedding.shape[1]):
            newest[slot, c] = ring[slot, place, c] = embedding[k, c]
        added[slot] += 1


def unlike_newest(const float[:, :] newest, const Py_ssize_t[:] slots, const float[:, :] embedding, double limit):
    """Twin of `gallery.unlike_newest`."""
    cdef Py_ssize_t k, count = 0, n = slots.shape[0]
    cdef float least = 1 - limit
    result = empty(n, intp)
    cdef Py_ssize_t[::1] far = result
    for k in range(n):
        if dot(newest, slots[k], embedding, k) < least:
            far[count] = k
            count += 1
    return result[:count]


def gallery_distance(
    const float[:, :, :] ring, const int64_t[:] added, const Py_ssize_t[:] slots, const float[:, :] embedding
):
    """Twin of `gallery.gallery_distance`."""
    cdef Py_ssize_t k, slot, place
    cdef float most, likeness
    result = empty(slots.shape[0])
    cdef double[::1] distance = result
    for k in range(slots.shape[0]):
        slot, most = slots[k], -INFINITY
        for place in range(min(added[slot], ring.shape[1])):
            likeness = sl_dot(
                <const char *>&ring[slot, place, 0],
                ring.strides[2],
                <const char *>&embedding[k, 0],
                embedding.strides[1],
                embedding.shape[1],
            )
            most = max(most, likeness)
        distance[k] = 1.0 - most if added[slot] else 1.0
    return result
