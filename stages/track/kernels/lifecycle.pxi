# Twins of sightline/lifecycle.py.


cdef int take_score_terms(object given, double *terms) except -1:
    """Take the terms and their factor; a factor of 0 for what scores say without them."""
    if given is None:
        terms[0] = terms[1] = terms[2] = terms[3] = terms[4] = terms[5] = 0.0
    else:
        take_terms(given[0], terms)
        terms[5] = given[1]
    return 0


cdef inline double strengthened(double evidence, double score, const double *terms) noexcept:
    """Twin of `sightline.evidence.strengthen`, of one track."""
    cdef double said
    if not evidence < model.evidence_full:
        return model.evidence_most
    said = min(max(ratio_of(score, terms) * terms[5], model.score_against), model.score_for)
    return min(evidence + (model.evidence_hit + said), model.evidence_most)


def overdue(
    const double[:, :] number, const int64_t[:, :] count, double pts_s, double tentative_s, double confirmed_s
):
    """Twin of `sightline.lifecycle.overdue`."""
    cdef Py_ssize_t i, ended = 0, n = number.shape[1]
    cdef double absent
    result, late = empty(n), []
    cdef double[::1] absent_s = result
    for i in range(n):
        absent = pts_s - number[SEEN_S, i]
        absent_s[i] = absent
        if absent > tentative_s or absent > confirmed_s:
            if absent > (confirmed_s if count[CONFIRMED, i] else tentative_s):
                late.append(i)
    return result, asarray(late, intp) if late else empty(0, intp)


cdef void correct_row(double[:, :] number, Py_ssize_t i, const double[:, :] table, Py_ssize_t k) noexcept:
    """Twin of `sightline.motion.correct`, of one row."""
    cdef double x = table[0, k] - number[X, i], y = table[1, k] - number[Y, i]
    cdef double size = table[2, k] - number[LOG_HEIGHT, i], aspect = table[3, k] - number[LOG_ASPECT, i]
    cdef double noise = number[NOISE, i], size_noise = model.measured_size * model.measured_size
    cdef double variance = number[VARIANCE, i], size_variance = number[HEIGHT_VARIANCE, i]
    cdef double covariance = number[COVARIANCE, i]
    cdef double off = (y * y + x * x) / (variance + noise), off_size = size * size / (size_variance + size_noise)
    cdef double distrust = max((off + off_size + model.tail) * (1 / (model.tail + 3)), 1.0)
    cdef double sum = noise * distrust + variance, size_sum = size_noise * distrust + size_variance
    cdef double gain = variance / sum, size_gain = size_variance / size_sum, velocity_gain = covariance / sum
    cdef double shown
    cdef double box[4]
    cdef Py_ssize_t side
    number[VELOCITY_VARIANCE, i] -= velocity_gain * covariance
    number[VARIANCE, i] = variance * (1 - gain)
    number[HEIGHT_VARIANCE, i] = size_variance * (1 - size_gain)
    number[COVARIANCE, i] = covariance * (1 - gain)
    number[VX, i] += velocity_gain * x
    number[VY, i] += velocity_gain * y
    number[X, i] += gain * x
    number[Y, i] += gain * y
    number[LOG_HEIGHT, i] += size_gain * size
    number[LOG_ASPECT, i] += model.aspect_gain * aspect
    number[HEIGHT, i] = exp(number[LOG_HEIGHT, i])
    number[NOISE, i] = number[HEIGHT, i] * (number[HEIGHT, i] * (model.measured * model.measured))
    number[RESTLESS, i] = max(
        number[RESTLESS, i] * (1 - model.restless_gain)
        + min(model.restless_gain / 2 * off, model.restless_gain * model.restless_innovation),
        1.0,
    )
    shown = (1 - model.shown_detection) * 2 * model.shown_half / (off + 2 * model.shown_half)
    box_of(number, i, box)
    for side in range(4):
        number[SHOWN + side, i] = (box[side] - table[4 + side, k]) * shown + table[4 + side, k]


def absorb(
    double[:, :] number,
    int64_t[:, :] count,
    const Py_ssize_t[:] hit,
    const double[:, :] table,
    const Py_ssize_t[:] seen,
    const Py_ssize_t[:] row,
    double pts_s,
    Py_ssize_t n_init,
    given,
):
    """Twin of `sightline.lifecycle.absorb`."""
    cdef Py_ssize_t p, i, k
    cdef double score
    cdef double terms[6]
    if not model.is_known:
        learn_model()
    take_score_terms(given, terms)
    for p in range(hit.shape[0]):
        i, k = hit[p], seen[p]
        score = table[9, k]
        correct_row(number, i, table, k)
        number[EVIDENCE, i] = strengthened(number[EVIDENCE, i], score, terms)
        number[SEEN_S, i] = pts_s
        number[SCORE, i] = score
        number[SCORES, i] += score
        number[LEAD, i] *= model.vote_decay
        count[HITS, i] += 1
        count[DETECTION, i] = row[k]
        if not count[CONFIRMED, i]:
            count[CONFIRMED, i] = number[EVIDENCE, i] >= model.evidence_confirmed and count[HITS, i] >= n_init


def weaken(double[:, :] number, const double[:] absent_s, double limit_s):
    """Twin of `sightline.lifecycle.weaken`."""
    cdef Py_ssize_t i
    if not model.is_known:
        learn_model()
    for i in range(number.shape[1]):
        if absent_s[i] != 0.0 and absent_s[i] <= limit_s:
            number[EVIDENCE, i] = max(number[EVIDENCE, i] - model.evidence_miss, model.evidence_least)


def newborn(const double[:, :] measured, double pts_s, given):
    """Twin of `sightline.lifecycle.newborn`, with `sightline.motion.initiate` in it."""
    cdef Py_ssize_t k, column, n = measured.shape[1]
    cdef double height, score
    cdef double terms[6]
    if not model.is_known:
        learn_model()
    take_score_terms(given, terms)
    result = zeros((NUMBERS, n))
    cdef double[:, ::1] number = result
    for k in range(n):
        for column in range(4):
            number[X + column, k] = measured[column, k]
            number[SHOWN + column, k] = measured[4 + column, k]
        height, score = exp(measured[2, k]), measured[9, k]
        number[HEIGHT, k] = height
        number[NOISE, k] = number[VARIANCE, k] = (model.measured * height) * (model.measured * height)
        number[VELOCITY_VARIANCE, k] = (model.unknown_velocity * height) * (model.unknown_velocity * height)
        number[HEIGHT_VARIANCE, k] = model.measured_size * model.measured_size
        number[RESTLESS, k] = 1.0
        number[EVIDENCE, k] = strengthened(0.0, score, terms)
        number[SEEN_S, k] = pts_s
        number[SCORE, k] = number[SCORES, k] = number[LEAD, k] = score
    return result


def shown(const double[:, :] number, const int64_t[:, :] count, const double[:] absent_s, double limit_s):
    """Twin of `sightline.lifecycle.shown`."""
    cdef Py_ssize_t i, k, side, n = 0
    cdef double box[4]
    if not model.is_known:
        learn_model()
    for i in range(number.shape[1]):
        n += absent_s[i] <= limit_s and count[CONFIRMED, i] > 0 and number[EVIDENCE, i] >= model.evidence_hidden
    rows, xyxy = empty(n, intp), empty((n, 4), float32)
    whole, real = empty((2, n), int64), empty((2, n), float32)
    cdef Py_ssize_t[::1] row = rows
    cdef float[:, ::1] corners = xyxy, score_and_missed = real
    cdef int64_t[:, ::1] id_and_detection = whole
    k = 0
    for i in range(number.shape[1]):
        if absent_s[i] <= limit_s and count[CONFIRMED, i] > 0 and number[EVIDENCE, i] >= model.evidence_hidden:
            row[k], id_and_detection[0, k], id_and_detection[1, k] = i, count[ID, i], count[DETECTION, i]
            score_and_missed[0, k], score_and_missed[1, k] = number[SCORE, i], absent_s[i]
            if absent_s[i] != 0.0:
                id_and_detection[1, k] = -1
                box_of(number, i, box)
                for side in range(4):
                    corners[k, side] = box[side]
            else:
                for side in range(4):
                    corners[k, side] = number[SHOWN + side, i]
            k += 1
    return rows, whole[0], xyxy, real[0], whole[1], real[1]
