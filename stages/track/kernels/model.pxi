# The numbers of the model, taken from the modules of the numpy functions.

cdef struct Model:
    bint is_known
    double measured, measured_size, unknown_velocity, position_drift, velocity_drift, size_drift
    double tail, centre_power, size_power, constant, furthest
    double restless_gain, restless_innovation, restless_limit, aspect_gain, shown_detection, shown_half
    double detected, fading, returns, frame_s, near, near_per_s, near_limit_s, sure, margin
    double overlap_neutral, weak
    double evidence_hit, evidence_miss, evidence_least, evidence_most, evidence_full
    double evidence_confirmed, evidence_hidden, score_against, score_for, vote_decay
    double most_for, most_against, least_share, least_side_px, match_margin, unit, shortest, gate


cdef Model model
model.is_known = False


cdef int learn_model() except -1:
    """Take the numbers from the modules that explain them."""
    from stages.track import assignment, association, gallery
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

    model.measured, model.measured_size = motion._MEASURED, motion._MEASURED_SIZE
    model.unknown_velocity, model.size_drift = motion._UNKNOWN_VELOCITY, motion._SIZE_DRIFT
    model.position_drift, model.velocity_drift = motion._POSITION_DRIFT, motion._VELOCITY_DRIFT
    model.tail, model.centre_power, model.size_power = motion._TAIL, motion._CENTRE_POWER, motion._SIZE_POWER
    model.constant, model.furthest, model.aspect_gain = motion._CONSTANT, motion._FURTHEST, motion._ASPECT_GAIN
    model.restless_gain, model.restless_innovation = motion._RESTLESS_GAIN, motion._RESTLESS_INNOVATION
    model.restless_limit = motion._RESTLESS_LIMIT
    model.shown_detection, model.shown_half = motion._SHOWN_DETECTION, motion._SHOWN_HALF
    model.detected, model.fading = pairs._DETECTED, pairs._FADING
    model.returns, model.frame_s = pairs._RETURNS, pairs._FRAME_S
    model.near, model.near_per_s, model.near_limit_s = pairs._NEAR, pairs._NEAR_PER_S, pairs._NEAR_LIMIT_S
    model.sure, model.margin = pairs._SURE, pairs._MARGIN
    model.overlap_neutral, model.weak = pairs.OVERLAP_NEUTRAL, pairs._WEAK
    model.evidence_hit, model.evidence_miss, model.evidence_full = evidence._HIT, evidence._MISS, evidence._FULL
    model.evidence_least, model.evidence_most = evidence._LEAST, evidence._MOST
    model.evidence_confirmed, model.evidence_hidden = evidence.CONFIRMED, evidence.HIDDEN
    model.score_against, model.score_for = evidence._SCORE_AGAINST, evidence._SCORE_FOR
    model.vote_decay = lifecycle._VOTE_DECAY
    model.most_for, model.most_against, model.least_share = looks.MOST_FOR, looks.MOST_AGAINST, looks._LEAST_SHARE
    model.least_side_px, model.match_margin = frame._LEAST_SIDE_PX, assignment._MARGIN
    model.unit, model.shortest = gallery._UNIT, gallery._SHORTEST
    model.gate = association.GATE
    model.is_known = True
    return 0
