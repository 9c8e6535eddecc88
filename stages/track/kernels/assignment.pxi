# Twin of assignment.py.


def match_pairs(row_names, column_names, costs, double limit):
    """Twin of `assignment.match_pairs`; what is contested goes to its search, component by component."""
    cdef const Py_ssize_t[:] rows = row_names, columns = column_names
    cdef const double[:] cost = asarray(costs, float64)
    if not model.is_known:
        learn_model()
    cdef Py_ssize_t p, r, c, left, kept, n = 0, m = 0, pairs = 0, sure, total = cost.shape[0]
    cdef double top = limit + model.match_margin
    for p in range(total):
        if cost[p] <= limit:
            n, m = max(n, rows[p] + 1), max(m, columns[p] + 1)
            pairs += 1
    cdef double *gain = <double *>scratch((total + n + m) * sizeof(double))
    cdef double *rival = gain + total
    cdef Py_ssize_t *open_pair = NULL
    cdef Py_ssize_t *best
    cdef char *is_used
    try:
        open_pair = <Py_ssize_t *>scratch((2 * pairs + n + m) * sizeof(Py_ssize_t) + pairs + n + m)
        best = open_pair + 2 * pairs  # pairs that are left, then those that were chosen, then the best of each
        is_used = <char *>(best + n + m)
        left = sure = 0
        for p in range(total):
            if cost[p] <= limit:
                gain[p] = top - cost[p]
                open_pair[left] = p
                left += 1
        for p in range(n + m):
            is_used[p] = 0
        while left > 1:
            kept = sure
            for p in range(left):
                best[rows[open_pair[p]]] = best[n + columns[open_pair[p]]] = -1
            for p in range(left):
                lead(open_pair[p], rows[open_pair[p]], gain, best, rival)
                lead(open_pair[p], n + columns[open_pair[p]], gain, best, rival)
            for p in range(left):
                r, c = rows[open_pair[p]], n + columns[open_pair[p]]
                if best[r] == best[c] == open_pair[p] and gain[open_pair[p]] >= rival[r] + rival[c]:
                    open_pair[pairs + sure] = open_pair[p]
                    sure += 1
                    is_used[r] = is_used[c] = 1
            if sure == kept:
                break
            kept = 0
            for p in range(left):
                if not is_used[rows[open_pair[p]]] and not is_used[n + columns[open_pair[p]]]:
                    open_pair[kept] = open_pair[p]
                    kept += 1
            left = kept
        chosen = index_array(open_pair + pairs, sure)
        if left == 1:
            chosen = index_array(open_pair + pairs, sure + 1)
            chosen[sure] = open_pair[0]
        elif left:
            from stages.track.assignment import with_contested

            chosen = with_contested(
                chosen, index_array(open_pair, left), row_names, column_names, top - costs
            )
        if len(chosen) > 1:
            chosen.sort()
        return chosen
    finally:
        free(gain)
        free(open_pair)


cdef inline void lead(
    Py_ssize_t pair, Py_ssize_t group, const double *gain, Py_ssize_t *best, double *rival
) noexcept:
    """Let a pair be the best of its group, or the rival of the best, if it is; of equals the first is."""
    if best[group] < 0:
        best[group], rival[group] = pair, 0.0
    elif gain[pair] > gain[best[group]]:
        rival[group] = gain[best[group]]
        best[group] = pair
    elif gain[pair] > rival[group]:
        rival[group] = gain[pair]
