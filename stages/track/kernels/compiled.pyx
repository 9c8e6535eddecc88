# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of the tracker's hot numpy functions; each names the function that it stands for.

The numpy functions say what the equations mean. Numbers of the model are theirs: they are read at the first
call. Columns of rows are repeated here, as the compiler should know them, and compared at that time.
"""

from libc.math cimport INFINITY, exp, expm1, fabs, log, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from numpy import asarray, empty, float32, float64, int64, intp, zeros

cdef extern from *:
    """
    /* Eight sums side by side: vector instructions without a licence to reorder what the source says. */
    static float sl_dot(const char *a, Py_ssize_t step_a, const char *b, Py_ssize_t step_b, Py_ssize_t n) {
        float sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        Py_ssize_t i = 0;
        int lane;
        if (step_a == sizeof(float) && step_b == sizeof(float)) {
            const float *x = (const float *)a, *y = (const float *)b;
            for (; i + 8 <= n; i += 8)
                for (lane = 0; lane < 8; lane++) sum[lane] += x[i + lane] * y[i + lane];
        }
        for (; i < n; i++) sum[0] += *(const float *)(a + i * step_a) * *(const float *)(b + i * step_b);
        return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
    }

    static void sl_smooth(float *mean, const float *unit, float share, Py_ssize_t n) {
        Py_ssize_t i;
        for (i = 0; i < n; i++) mean[i] += share * (unit[i] - mean[i]);
    }
    """
    void sl_smooth(float *mean, const float *unit, float share, Py_ssize_t n) noexcept nogil
    float sl_dot(const char *a, Py_ssize_t step_a, const char *b, Py_ssize_t step_b, Py_ssize_t n) noexcept nogil

cdef extern from *:
    long SIGHTLINE_SOURCE

SOURCE = SIGHTLINE_SOURCE
"""Which state of these files this was compiled from (source.py)."""

# Columns of sightline's rows (sightline/rows.py).
cdef enum:
    X = 0
    Y = 1
    LOG_HEIGHT = 2
    LOG_ASPECT = 3
    VX = 4
    VY = 5
    HEIGHT = 6
    VELOCITY_VARIANCE = 7
    COVARIANCE = 8
    VARIANCE = 9
    HEIGHT_VARIANCE = 10
    NOISE = 11
    RESTLESS = 12
    SEEN_S = 13
    EVIDENCE = 14
    SCORES = 15
    LEAD = 16
    SCORE = 17
    SHOWN = 18
    NUMBERS = 22
    ID = 0
    HITS = 1
    CONFIRMED = 2
    DETECTION = 3

cdef object index_array(const Py_ssize_t *values, Py_ssize_t n):
    """Return (n,) of the values."""
    cdef object array = empty(n, intp)
    cdef Py_ssize_t[::1] view
    if n:
        view = array
        memcpy(&view[0], values, n * sizeof(Py_ssize_t))
    return array


cdef void *scratch(size_t size) except NULL:
    """Return memory that the caller frees."""
    cdef void *memory = malloc(size if size else 1)
    if not memory:
        raise MemoryError
    return memory


include "model.pxi"
include "motion.pxi"
include "pairs.pxi"
include "assignment.pxi"
include "hungarian.pxi"
include "looks.pxi"
include "lifecycle.pxi"
include "deepsort.pxi"
