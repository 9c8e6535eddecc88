"""The engine: frames, stages, channels, time, the bus, configuration and the command line."""
