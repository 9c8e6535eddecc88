"""Trackers by overlap of boxes: SORT, ByteTrack, OC-SORT and BoT-SORT as settings of one machine."""
