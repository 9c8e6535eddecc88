"""Which topic something goes to, and what Home Assistant must know to show a total."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version

from pipeline.event import Event
from streams.sinks.mqtt.options import MqttOptions
from streams.sinks.mqtt.session import Message
from streams.sinks.mqtt.totals import Place

_MOST_CHARACTERS = 100


def level(name: str) -> str:
    """Return a name as one level of a topic: what has a meaning there becomes "_"."""
    clean = "".join("_" if sign in "/+#$" or not sign.isprintable() else sign for sign in name)
    return clean[:_MOST_CHARACTERS] or "_"


def event_topic(options: MqttOptions, event: Event) -> str:
    """Return the topic of an event."""
    return options.topic.format(
        prefix=options.prefix,
        stream=level(event.stream),
        kind=level(event.kind),
        label=level(event.label or ""),
        line=level(str(event.data.get("line", ""))),
    )


def status_topic(options: MqttOptions) -> str:
    """Return where it says "online" or "offline"."""
    return f"{options.prefix}/status"


def total_topic(options: MqttOptions, place: Place) -> str:
    """Return the topic of a total."""
    levels = (place.stream, "count", place.line, place.direction)
    return "/".join((options.prefix, *map(level, levels)))


def discovery(options: MqttOptions, place: Place) -> Message:
    """Return the message that makes a total a sensor (Home Assistant, "MQTT discovery")."""
    release = version("sightline")
    sensor = "sightline_" + _digest(options.prefix, place.stream, place.line, place.direction)
    topic = total_topic(options, place)
    config = {
        "name": f"{place.line} {place.direction}",
        "unique_id": sensor,
        "state_topic": topic,
        "value_template": "{{ value_json.total }}",
        "state_class": "total_increasing",
        "json_attributes_topic": topic,
        "json_attributes_template": "{{ value_json.labels | tojson }}",
        "availability_topic": status_topic(options),
        "icon": "mdi:counter",
        "device": {
            "identifiers": ["sightline_" + _digest(options.prefix, place.stream)],
            "name": f"{options.prefix} {place.stream}",
            "manufacturer": "sightline",
            "sw_version": release,
        },
        "origin": {"name": "sightline", "sw_version": release},
    }
    payload = json.dumps(config, ensure_ascii=False).encode()
    return Message(f"{options.home_assistant}/sensor/{sensor}/config", payload, retain=True)


def _digest(*names: str) -> str:
    return hashlib.blake2b("\0".join(names).encode(), digest_size=8).hexdigest()
