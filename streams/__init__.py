"""Where pictures come from (sources) and where results go (sinks)."""
