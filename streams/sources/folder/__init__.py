"""Source `folder`: images that somebody keeps putting into a folder, as a live stream.

`listing` looks into the folder, `watch` finds what is new and complete there, `stamps` tells when a picture
was taken, `source` makes a stream of it.
"""
