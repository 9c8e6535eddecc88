"""Measurements, run by hand or by `make bench`; never asserted in tests, as machines are shared and noisy."""
