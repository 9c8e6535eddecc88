"""Events and totals to an MQTT broker."""
