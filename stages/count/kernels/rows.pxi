# Twins of `history.follow`.


cdef void lay(
    Gate *gate,
    const double[:, ::1] points,
    const double[:, ::1] outward,
    const double[::1] lengths,
    double band_px,
):
    """Fill in a gate, with the box outside of which nothing is near it."""
    cdef Py_ssize_t i
    cdef double margin = band_px + 1e-3
    gate.points, gate.outward, gate.lengths = &points[0, 0], &outward[0, 0], &lengths[0]
    gate.parts, gate.band = lengths.shape[0], band_px
    gate.left = gate.right = points[0, 0]
    gate.top = gate.bottom = points[0, 1]
    for i in range(1, points.shape[0]):
        gate.left, gate.right = min(gate.left, points[i, 0]), max(gate.right, points[i, 0])
        gate.top, gate.bottom = min(gate.top, points[i, 1]), max(gate.bottom, points[i, 1])
    gate.left -= margin
    gate.right += margin
    gate.top -= margin
    gate.bottom += margin


cdef object arrays_of(Findings *findings):
    """Return them as a `Found`."""
    from stages.count.history.follow import Found as Arrays  # which has imported this module

    cdef Py_ssize_t i, n = findings.count
    whole, real = empty((2, n), int64), empty((4, n), float64)
    cdef int64_t[:, ::1] numbers = whole
    cdef double[:, ::1] values = real
    for i in range(n):
        numbers[0, i], numbers[1, i] = findings.found[i].row, findings.found[i].to_right
        values[0, i], values[1, i] = findings.found[i].time_s, findings.found[i].x
        values[2, i], values[3, i] = findings.found[i].y, findings.found[i].known_s
    return Arrays(whole[0], whole[1].astype(bool), real[0], real[1:3].T, real[3])


def path_crossings(gate, double hold_s, times_s, points, vanished, bint finished):
    """Twin of `history.follow.path_crossings`."""
    cdef const double[::1] time_s = ascontiguousarray(times_s)
    cdef const double[:, ::1] place = ascontiguousarray(points)
    cdef const uint8_t[::1] mark = ascontiguousarray(vanished).view(uint8)
    cdef Points path
    cdef Gate line
    cdef Findings out
    cdef Py_ssize_t i, n = time_s.shape[0]
    cdef Span *spans
    cdef Meeting *met
    memset(&path, 0, sizeof(path))
    memset(&out, 0, sizeof(out))
    lay(&line, gate.points, gate.outward, gate.lengths, gate.band_px)
    spans = <Span *>malloc(line.parts * sizeof(Span))
    met = <Meeting *>malloc(line.parts * sizeof(Meeting))
    try:
        if not spans or not met or not make_room(&path, n):
            raise MemoryError
        path.count = n
        for i in range(n):
            path.time_s[i], path.x[i], path.y[i], path.vanished[i] = time_s[i], place[i, 0], place[i, 1], mark[i]
        count_path(&line, hold_s, &path, finished, 0, spans, met, &out)
        if out.failed:
            raise MemoryError
        return arrays_of(&out)
    finally:
        free_points(&path)
        free(out.found)
        free(spans)
        free(met)


def batch_crossings(gate, double hold_s, anchor, batch, others):
    """Twin of `history.follow.batch_crossings`."""
    cdef const uint8_t[::1] data = batch.data
    cdef const int64_t[::1] offsets = batch.offsets
    cdef const int64_t[::1] start_us = batch.start_us
    cdef const int64_t[::1] tick_us = batch.tick_us
    cdef const double[::1] unit_px = batch.unit_px
    cdef const uint8_t[::1] finished = batch.finished.view(uint8)
    cdef double fx = anchor[0], fy = anchor[1]
    cdef Py_ssize_t row, before, number, n = start_us.shape[0], gates = 1 + len(others)
    left, doubts = empty(n, uint8), zeros(n, uint8)
    cdef uint8_t[::1] undone = left, doubtful = doubts
    cdef Points path, near
    cdef Findings out, trial
    cdef Gate *lines = <Gate *>malloc(gates * sizeof(Gate))
    cdef Span *spans = <Span *>malloc(gate.lengths.shape[0] * sizeof(Span))
    cdef Meeting *met = <Meeting *>malloc(gate.lengths.shape[0] * sizeof(Meeting))
    memset(&path, 0, sizeof(path))
    memset(&out, 0, sizeof(out))
    memset(&trial, 0, sizeof(trial))
    try:
        if not lines or not spans or not met:
            raise MemoryError
        for number, each in enumerate([gate, *others]):
            lay(&lines[number], each.points, each.outward, each.lengths, each.band_px)
        with nogil:
            for row in range(n):
                undone[row] = not decode_path(
                    &data[0] + offsets[row],
                    offsets[row + 1] - offsets[row],
                    start_us[row],
                    tick_us[row],
                    unit_px[row],
                    fx,
                    fy,
                    &path,
                )
                if undone[row]:
                    continue
                # The widest of the gates says whether, and where, there is anything to decide.
                if not part_near(&lines[gates > 1], &path, &near):
                    continue
                before = out.count
                count_path(&lines[0], hold_s, &path, finished[row], row, spans, met, &out)
                if not finished[row]:
                    near = path  # whether the hold time passes on the rest of it decides
                for number in range(1, gates):
                    trial.count = 0
                    count_path(&lines[number], hold_s, &near, finished[row], row, spans, met, &trial)
                    if not same_directions(&out, before, &trial):
                        doubtful[row] = 1
                        break
        if out.failed or trial.failed:
            raise MemoryError
        return arrays_of(&out), left.view(bool).nonzero()[0], doubts.view(bool).nonzero()[0]
    finally:
        free_points(&path)
        free(out.found)
        free(trial.found)
        free(lines)
        free(spans)
        free(met)
