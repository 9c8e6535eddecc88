# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Compiled twins of functions that count stored paths; each names the function that it stands for."""

from libc.math cimport fabs, sqrt
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from numpy import ascontiguousarray, empty, float64, int64, uint8, zeros

cdef extern from *:
    long SIGHTLINE_SOURCE

SOURCE = SIGHTLINE_SOURCE
"""Which state of these files this was compiled from (source.py)."""

include "codec.pxi"
include "geometry.pxi"
include "watch.pxi"
include "rows.pxi"
