"""Sink `counts`: how many objects went where, in intervals of the calendar, as CSV and Parquet."""

from streams.sinks.counts.sink import CountsOptions, CountsSink

__all__ = ["CountsOptions", "CountsSink"]
