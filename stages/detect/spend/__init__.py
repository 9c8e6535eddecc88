"""Where a detector looks, and when: what it costs is decided here, whatever the detector."""
