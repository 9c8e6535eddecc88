# Twin of assignment.best_columns.


def best_columns(gains):
    """Twin of `assignment.best_columns`: shortest augmenting paths (Crouse 2016, doi 10.1109/TAES.2016.140952).

    One row after the other gets a column, along the path of reassignments that costs least; potentials of
    rows and columns keep all reduced costs positive. Of paths of equal cost it takes what scipy takes.
    """
    cdef const double[:, :] gain = asarray(gains, float64)
    cdef Py_ssize_t n = gain.shape[0], m = gain.shape[1], few = min(n, m), many = max(n, m)
    cdef bint turned = n > m
    cdef Py_ssize_t r, c, row, left, k, nearest
    cdef double walked, least, cost
    cdef object result = empty(n, intp)
    cdef Py_ssize_t[:] column_of = result
    for r in range(n):
        column_of[r] = -1
    if not few:
        return result
    # Of the shorter side are rows here, of the longer one columns.
    cdef double *of_row = <double *>scratch((few + 2 * many) * sizeof(double))
    cdef double *of_column = of_row + few
    cdef double *distance = of_column + many
    cdef Py_ssize_t *taken = NULL
    cdef Py_ssize_t *owner
    cdef Py_ssize_t *came_from
    cdef Py_ssize_t *rest
    cdef char *seen_row
    cdef char *seen_column
    try:
        taken = <Py_ssize_t *>scratch((few + 3 * many) * sizeof(Py_ssize_t) + few + many)
        owner, came_from, rest = taken + few, taken + few + many, taken + few + 2 * many
        seen_row = <char *>(rest + many)
        seen_column = seen_row + few
        for r in range(few):
            of_row[r], taken[r] = 0.0, -1
        for c in range(many):
            of_column[c], owner[c] = 0.0, -1
        for row in range(few):
            for r in range(few):
                seen_row[r] = 0
            for c in range(many):
                seen_column[c], distance[c], rest[c] = 0, INFINITY, many - 1 - c
            r, walked, left, c = row, 0.0, many, -1
            while c < 0 or owner[c] >= 0:
                if c >= 0:
                    r = owner[c]
                seen_row[r] = 1
                least, nearest = INFINITY, -1
                for k in range(left):
                    c = rest[k]
                    cost = walked - (gain[c, r] if turned else gain[r, c]) - of_row[r] - of_column[c]
                    if cost < distance[c]:
                        distance[c], came_from[c] = cost, r
                    # Of equals one that is free ends the search.
                    if distance[c] < least or (distance[c] == least and owner[c] < 0):
                        least, nearest = distance[c], k
                if nearest < 0:
                    raise ValueError("gains must be finite")
                walked, c = least, rest[nearest]
                seen_column[c] = 1
                left -= 1
                rest[nearest] = rest[left]
            of_row[row] += walked
            for r in range(few):
                if seen_row[r] and r != row:
                    of_row[r] += walked - distance[taken[r]]
            for k in range(many):
                if seen_column[k]:
                    of_column[k] -= walked - distance[k]
            while True:
                r = came_from[c]
                owner[c] = r
                taken[r], c = c, taken[r]
                if r == row:
                    break
        for r in range(few):
            if turned:
                column_of[taken[r]] = r
            else:
                column_of[r] = taken[r]
        return result
    finally:
        free(of_row)
        free(taken)
