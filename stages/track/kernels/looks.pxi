# Twins of gallery.py and sightline/looks.py.


cdef inline float dot(const float[:, :] a, Py_ssize_t i, const float[:, :] b, Py_ssize_t k) noexcept:
    """Return the scalar product of row i and row k, which are not empty."""
    return sl_dot(<const char *>&a[i, 0], a.strides[1], <const char *>&b[k, 0], b.strides[1], a.shape[1])


def unit_rows(embedding):
    """Twin of `gallery.unit_rows`."""
    cdef Py_ssize_t n, length, i, k
    cdef float power, least = 1.0, most = 1.0, norm
    if not model.is_known:
        learn_model()
    array = asarray(embedding, float32)
    cdef const float[:, :] rows = array
    n, length = rows.shape[0], rows.shape[1]
    if not length:
        return array
    for i in range(n):
        power = dot(rows, i, rows, i)
        if not power < INFINITY:
            raise ValueError("embeddings must be finite")
        least, most = min(least, power), max(most, power)
    if most - least < model.unit:
        return array
    result = empty((n, length), float32)
    cdef float[:, ::1] unit = result
    for i in range(n):
        norm = max(<float>sqrt(dot(rows, i, rows, i)), <float>model.shortest)
        for k in range(length):
            unit[i, k] = rows[i, k] / norm
    return result


cdef inline double distance_of(
    const float[:, :] mean, const double[:] scale, Py_ssize_t slot, const float[:, :] unit, Py_ssize_t k
) noexcept:
    return 1.0 - dot(mean, slot, unit, k) * scale[slot]


def look_distance(
    const float[:, :] mean, const double[:] scale, const Py_ssize_t[:] slots, const float[:, :] unit
):
    """Twin of `sightline.looks.look_distance`."""
    cdef Py_ssize_t k
    result = empty(slots.shape[0])
    cdef double[::1] distance = result
    for k in range(slots.shape[0]):
        distance[k] = distance_of(mean, scale, slots[k], unit, k)
    return result


cdef inline double ratio_of(double value, const double *terms) noexcept:
    """Twin of `sightline.statistics.log_ratio`, of one value."""
    cdef double under_low = max(value - terms[0], 0.0), under_high = min(value - terms[1], 0.0)
    return under_high * under_high * terms[3] - under_low * under_low * terms[2] + terms[4]


cdef int take_terms(object given, double *terms) except -1:
    terms[0], terms[1], terms[2], terms[3], terms[4] = given
    return 0


cdef inline bint is_blank(const float[:, :] unit, Py_ssize_t k) noexcept:
    cdef Py_ssize_t i
    for i in range(unit.shape[1]):
        if unit[k, i] != 0.0:
            return False
    return True


def look_ratio(
    const float[:, :] mean,
    const double[:] scale,
    const Py_ssize_t[:] slots,
    const float[:, :] unit,
    given,
):
    """Twin of `sightline.looks.look_ratio`."""
    cdef Py_ssize_t k
    cdef double distance
    cdef double terms[5]
    if not model.is_known:
        learn_model()
    take_terms(given, terms)
    result = empty(slots.shape[0])
    cdef double[::1] ratio = result
    for k in range(slots.shape[0]):
        distance = distance_of(mean, scale, slots[k], unit, k)
        ratio[k] = min(max(ratio_of(distance, terms), model.most_against), model.most_for)
        if distance == 1.0 and (scale[slots[k]] == 0.0 or is_blank(unit, k)):
            ratio[k] = 0.0
    return result


def smooth_looks(
    float[:, :] mean,
    double[:] scale,
    int64_t[:] looks,
    const Py_ssize_t[:] slots,
    const float[:, :] unit,
    const double[:] trust,
):
    """Twin of `sightline.looks.smooth_looks`."""
    cdef Py_ssize_t k, i, slot
    cdef float share, length
    if not model.is_known:
        learn_model()
    for k in range(slots.shape[0]):
        slot = slots[k]
        looks[slot] += 1
        share = 1.0 if scale[slot] == 0.0 else max(1.0 / looks[slot], model.least_share) * trust[k]
        if mean.strides[1] == sizeof(float) and unit.strides[1] == sizeof(float):
            sl_smooth(&mean[slot, 0], &unit[k, 0], share, unit.shape[1])
        else:
            for i in range(unit.shape[1]):
                mean[slot, i] += share * (unit[k, i] - mean[slot, i])
        length = sqrt(dot(mean, slot, mean, slot))
        scale[slot] = <float>1.0 / length if length > 1e-6 else 0.0
