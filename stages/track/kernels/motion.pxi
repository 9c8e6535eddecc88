# Twins of sightline/frame.py, sightline/motion.py and the prospects of sightline/pairs.py.


def measure(const float[:, :] xyxy, const float[:] score):
    """Twin of `sightline.frame.measure`."""
    cdef Py_ssize_t m = xyxy.shape[0], k
    cdef double least = INFINITY, width, height, log_height
    if not model.is_known:
        learn_model()
    result = empty((10, m))
    cdef double[:, ::1] table = result
    for k in range(m):
        table[4, k], table[5, k], table[6, k], table[7, k] = xyxy[k, 0], xyxy[k, 1], xyxy[k, 2], xyxy[k, 3]
        table[9, k] = score[k]
        least = min(least, table[6, k] - table[4, k], table[7, k] - table[5, k])
    if least < model.least_side_px:
        return result, least
    for k in range(m):
        width, height = table[6, k] - table[4, k], table[7, k] - table[5, k]
        table[8, k] = width * height
        table[0, k], table[1, k] = 0.5 * (table[4, k] + table[6, k]), 0.5 * (table[5, k] + table[7, k])
        log_height = log(height)
        table[2, k], table[3, k] = log_height, log(width) - log_height
    return result, least


def predict(double[:, :] number, double dt_s):
    """Twin of `sightline.motion.predict`."""
    cdef Py_ssize_t i
    cdef double swerve, gained, spread, covariance, noise
    if not model.is_known:
        learn_model()
    cdef double lively = dt_s * (model.velocity_drift / model.measured) ** 2, drift = (model.position_drift / model.measured) ** 2
    cdef double size_drift = dt_s * model.size_drift ** 2
    for i in range(number.shape[1]):
        number[X, i] += dt_s * number[VX, i]
        number[Y, i] += dt_s * number[VY, i]
        noise, covariance = number[NOISE, i], number[COVARIANCE, i]
        swerve = min(number[RESTLESS, i], model.restless_limit)
        number[VELOCITY_VARIANCE, i] += swerve * swerve * noise * lively
        gained = dt_s * number[VELOCITY_VARIANCE, i]
        spread = drift * noise + covariance + covariance + gained
        number[VARIANCE, i] += spread * dt_s
        number[COVARIANCE, i] = covariance + gained
        number[HEIGHT_VARIANCE, i] += size_drift


cdef inline void box_of(const double[:, :] number, Py_ssize_t i, double *corners) noexcept:
    """Twin of `sightline.motion.corners_of`, of one row."""
    cdef double half_height = 0.5 * number[HEIGHT, i]
    cdef double half_width = exp(number[LOG_ASPECT, i]) * half_height
    corners[0], corners[1] = number[X, i] - half_width, number[Y, i] - half_height
    corners[2], corners[3] = number[X, i] + half_width, number[Y, i] + half_height


def prospects(const double[:, :] number, const double[:] absent_s, double dt_s):
    """Twin of `sightline.pairs.prospects`, with `sightline.motion.expectation` in it."""
    cdef Py_ssize_t n = number.shape[1], i
    cdef double box[4]
    if not model.is_known:
        learn_model()
    cdef double returns = min(model.returns * max(dt_s, model.frame_s), 0.5)
    cdef double least = log(returns / (1 - returns)), now = model.detected + model.fading * dt_s
    cdef double near_limit_s = max(model.near_limit_s, dt_s), log_height, constant
    result = empty((12, n))
    cdef double[:, ::1] expected = result
    for i in range(n):
        log_height = number[LOG_HEIGHT, i]
        expected[0, i], expected[1, i], expected[2, i] = number[X, i], number[Y, i], log_height
        expected[3, i] = model.tail * (number[VARIANCE, i] + number[NOISE, i])
        expected[4, i] = model.tail * (number[HEIGHT_VARIANCE, i] + model.measured_size * model.measured_size)
        constant = log(expected[3, i] * expected[4, i]) * (model.tail / 2) + model.constant
        constant += max(now - model.fading * absent_s[i], least)
        expected[5, i] = constant + log_height + log_height
        box_of(number, i, box)
        expected[6, i], expected[7, i], expected[8, i], expected[9, i] = box[0], box[1], box[2], box[3]
        expected[10, i] = (box[2] - box[0]) * (box[3] - box[1])
        expected[11, i] = (min(absent_s[i], near_limit_s) * model.near_per_s + model.near) * number[HEIGHT, i]
    return result


def reach(const double[:, :] expected, const Py_ssize_t[:] tracks, double bonus):
    """Twin of `sightline.motion.reach`."""
    cdef Py_ssize_t n = tracks.shape[0], k, i
    cdef double best
    if not model.is_known:
        learn_model()
    result = empty(n)
    cdef double[::1] within = result
    for k in range(n):
        i = tracks[k]
        best = (expected[5, i] - model.size_power * log(expected[4, i]) + bonus) * (1 / model.centre_power)
        best = max(min(best - log(expected[3, i]), model.furthest), 0.0)
        within[k] = sqrt(expm1(best) * expected[3, i])
    return result
