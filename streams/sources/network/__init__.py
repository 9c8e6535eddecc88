"""Network video by FFmpeg: cameras, live streams, recordings on a server, and test patterns.

`source.NetworkSource` is what the schemes name. Who has resolved a media URL by other means (a site's page)
composes `reader.MediaReader` with it.
"""
