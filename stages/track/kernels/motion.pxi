# Twins of sightline/frame.py, sightline/motion.py and the prospects of sightline/pairs.py.

cdef bint numbers_are_known = False
cdef double MEASURED, MEASURED_SIZE, UNKNOWN_VELOCITY, POSITION_DRIFT, VELOCITY_DRIFT, SIZE_DRIFT
cdef double TAIL, CENTRE_POWER, SIZE_POWER, CONSTANT, FURTHEST
cdef double RESTLESS_GAIN, RESTLESS_INNOVATION, RESTLESS_LIMIT, ASPECT_GAIN, SHOWN_DETECTION, SHOWN_HALF
cdef double DETECTED, FADING, RETURNS, FRAME_S, NEAR, NEAR_PER_S, NEAR_LIMIT_S, SURE, MARGIN
cdef double OVERLAP_NEUTRAL, WEAK
cdef double EVIDENCE_HIT, EVIDENCE_MISS, EVIDENCE_LEAST, EVIDENCE_MOST, EVIDENCE_FULL
cdef double EVIDENCE_CONFIRMED, EVIDENCE_HIDDEN, SCORE_AGAINST, SCORE_FOR, VOTE_DECAY
cdef double MOST_FOR, MOST_AGAINST, LEAST_SHARE, LEAST_SIDE_PX, MATCH_MARGIN, UNIT, SHORTEST


cdef int learn_numbers() except -1:
    """Take the numbers from the modules that explain them."""
    global numbers_are_known, MEASURED, MEASURED_SIZE, UNKNOWN_VELOCITY, POSITION_DRIFT, VELOCITY_DRIFT
    global SIZE_DRIFT, TAIL, CENTRE_POWER, SIZE_POWER, CONSTANT, FURTHEST, RESTLESS_GAIN, RESTLESS_INNOVATION
    global RESTLESS_LIMIT, ASPECT_GAIN, SHOWN_DETECTION, SHOWN_HALF, DETECTED, FADING, RETURNS, FRAME_S, NEAR
    global NEAR_PER_S, NEAR_LIMIT_S, SURE, MARGIN, OVERLAP_NEUTRAL, WEAK, EVIDENCE_HIT, EVIDENCE_MISS
    global EVIDENCE_LEAST, EVIDENCE_MOST, EVIDENCE_FULL, EVIDENCE_CONFIRMED, EVIDENCE_HIDDEN, SCORE_AGAINST
    global SCORE_FOR, VOTE_DECAY, MOST_FOR, MOST_AGAINST, LEAST_SHARE, LEAST_SIDE_PX, MATCH_MARGIN, UNIT, SHORTEST
    from stages.track import assignment, gallery
    from stages.track.sightline import evidence, frame, lifecycle, looks, motion, pairs, rows

    names = (
        "X Y LOG_HEIGHT LOG_ASPECT VX VY HEIGHT VELOCITY_VARIANCE COVARIANCE VARIANCE HEIGHT_VARIANCE NOISE "
        "RESTLESS SEEN_S EVIDENCE SCORES LEAD SCORE SHOWN NUMBERS ID HITS CONFIRMED DETECTION"
    )
    columns = [
        X, Y, LOG_HEIGHT, LOG_ASPECT, VX, VY, HEIGHT, VELOCITY_VARIANCE, COVARIANCE, VARIANCE,
        HEIGHT_VARIANCE, NOISE, RESTLESS, SEEN_S, EVIDENCE, SCORES, LEAD, SCORE, SHOWN, NUMBERS, ID, HITS,
        CONFIRMED, DETECTION,
    ]
    if [getattr(rows, name) for name in names.split()] != columns:
        raise RuntimeError("the compiled kernels know other columns of rows: pip install -e . again")

    MEASURED, MEASURED_SIZE = motion._MEASURED, motion._MEASURED_SIZE
    UNKNOWN_VELOCITY, SIZE_DRIFT = motion._UNKNOWN_VELOCITY, motion._SIZE_DRIFT
    POSITION_DRIFT, VELOCITY_DRIFT = motion._POSITION_DRIFT, motion._VELOCITY_DRIFT
    TAIL, CENTRE_POWER, SIZE_POWER = motion._TAIL, motion._CENTRE_POWER, motion._SIZE_POWER
    CONSTANT, FURTHEST, ASPECT_GAIN = motion._CONSTANT, motion._FURTHEST, motion._ASPECT_GAIN
    RESTLESS_GAIN, RESTLESS_INNOVATION = motion._RESTLESS_GAIN, motion._RESTLESS_INNOVATION
    RESTLESS_LIMIT = motion._RESTLESS_LIMIT
    SHOWN_DETECTION, SHOWN_HALF = motion._SHOWN_DETECTION, motion._SHOWN_HALF
    DETECTED, FADING, RETURNS, FRAME_S = pairs._DETECTED, pairs._FADING, pairs._RETURNS, pairs._FRAME_S
    NEAR, NEAR_PER_S, NEAR_LIMIT_S = pairs._NEAR, pairs._NEAR_PER_S, pairs._NEAR_LIMIT_S
    SURE, MARGIN, OVERLAP_NEUTRAL, WEAK = pairs._SURE, pairs._MARGIN, pairs.OVERLAP_NEUTRAL, pairs._WEAK
    EVIDENCE_HIT, EVIDENCE_MISS, EVIDENCE_FULL = evidence._HIT, evidence._MISS, evidence._FULL
    EVIDENCE_LEAST, EVIDENCE_MOST = evidence._LEAST, evidence._MOST
    EVIDENCE_CONFIRMED, EVIDENCE_HIDDEN = evidence.CONFIRMED, evidence.HIDDEN
    SCORE_AGAINST, SCORE_FOR = evidence._SCORE_AGAINST, evidence._SCORE_FOR
    VOTE_DECAY = lifecycle._VOTE_DECAY
    MOST_FOR, MOST_AGAINST, LEAST_SHARE = looks.MOST_FOR, looks.MOST_AGAINST, looks._LEAST_SHARE
    LEAST_SIDE_PX, MATCH_MARGIN = frame._LEAST_SIDE_PX, assignment._MARGIN
    UNIT, SHORTEST = gallery._UNIT, gallery._SHORTEST
    numbers_are_known = True
    return 0


def measure(const float[:, :] xyxy, const float[:] score):
    """Twin of `sightline.frame.measure`."""
    cdef Py_ssize_t m = xyxy.shape[0], k
    cdef double least = INFINITY, width, height, log_height
    if not numbers_are_known:
        learn_numbers()
    result = empty((10, m))
    cdef double[:, ::1] table = result
    for k in range(m):
        table[4, k], table[5, k], table[6, k], table[7, k] = xyxy[k, 0], xyxy[k, 1], xyxy[k, 2], xyxy[k, 3]
        table[9, k] = score[k]
        least = min(least, table[6, k] - table[4, k], table[7, k] - table[5, k])
    if least < LEAST_SIDE_PX:
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
    if not numbers_are_known:
        learn_numbers()
    cdef double lively = dt_s * (VELOCITY_DRIFT / MEASURED) ** 2, drift = (POSITION_DRIFT / MEASURED) ** 2
    cdef double size_drift = dt_s * SIZE_DRIFT ** 2
    for i in range(number.shape[1]):
        number[X, i] += dt_s * number[VX, i]
        number[Y, i] += dt_s * number[VY, i]
        noise, covariance = number[NOISE, i], number[COVARIANCE, i]
        swerve = min(number[RESTLESS, i], RESTLESS_LIMIT)
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
    if not numbers_are_known:
        learn_numbers()
    cdef double returns = min(RETURNS * max(dt_s, FRAME_S), 0.5)
    cdef double least = log(returns / (1 - returns)), now = DETECTED + FADING * dt_s
    cdef double near_limit_s = max(NEAR_LIMIT_S, dt_s), log_height, constant
    result = empty((12, n))
    cdef double[:, ::1] expected = result
    for i in range(n):
        log_height = number[LOG_HEIGHT, i]
        expected[0, i], expected[1, i], expected[2, i] = number[X, i], number[Y, i], log_height
        expected[3, i] = TAIL * (number[VARIANCE, i] + number[NOISE, i])
        expected[4, i] = TAIL * (number[HEIGHT_VARIANCE, i] + MEASURED_SIZE * MEASURED_SIZE)
        constant = log(expected[3, i] * expected[4, i]) * (TAIL / 2) + CONSTANT
        constant += max(now - FADING * absent_s[i], least)
        expected[5, i] = constant + log_height + log_height
        box_of(number, i, box)
        expected[6, i], expected[7, i], expected[8, i], expected[9, i] = box[0], box[1], box[2], box[3]
        expected[10, i] = (box[2] - box[0]) * (box[3] - box[1])
        expected[11, i] = (min(absent_s[i], near_limit_s) * NEAR_PER_S + NEAR) * number[HEIGHT, i]
    return result


def reach(const double[:, :] expected, const Py_ssize_t[:] tracks, double bonus):
    """Twin of `sightline.motion.reach`."""
    cdef Py_ssize_t n = tracks.shape[0], k, i
    cdef double best
    if not numbers_are_known:
        learn_numbers()
    result = empty(n)
    cdef double[::1] within = result
    for k in range(n):
        i = tracks[k]
        best = (expected[5, i] - SIZE_POWER * log(expected[4, i]) + bonus) * (1 / CENTRE_POWER)
        best = max(min(best - log(expected[3, i]), FURTHEST), 0.0)
        within[k] = sqrt(expm1(best) * expected[3, i])
    return result
