"""Real servers on loopback for the tests: an RTSP camera, an HTTP site, a wire to tamper with."""
