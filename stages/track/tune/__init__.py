"""Which settings of the tracker suit a recording: detect once, track many times, judge, recommend."""
