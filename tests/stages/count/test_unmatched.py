import logging

import pytest

from stages.count.filters import FilterOptions
from stages.count.unmatched import Unmatched


@pytest.mark.parametrize(
    ("asked", "seen", "warning"),
    [
        (["car"], ["car", "bus"], None),
        (None, ["car"], None),
        (["cra"], [], None),
        (["cra"], ["car", "bus"], "counts only cra; the tracks seen were bus, car; did you mean 'car'?"),
        (["dog"], ["car", "bus"], "counts only dog; the tracks seen were bus, car"),
        (["dog"], list("abcdefghijkl"), "the tracks seen were a, b, c, d, e, f, g, h, i, j, others"),
        (["l"], list("abcdefghijkl"), None),
    ],
)
def test_it_warns_once_of_classes_that_nobody_had(
    asked: list[str] | None, seen: list[str], warning: str | None, caplog: pytest.LogCaptureFixture
):
    unmatched = Unmatched("zone", "cam", {"till": FilterOptions(labels=asked)})
    with caplog.at_level(logging.WARNING):
        for label in seen:
            unmatched.note([label])
        unmatched.warn()
        unmatched.warn()
    if warning is None:
        assert caplog.messages == []
    else:
        (message,) = caplog.messages
        assert message.startswith("zone 'till' of stream 'cam'")
        assert message.endswith(warning)


@pytest.mark.parametrize(
    ("attributes", "warns"),
    [(None, True), ([{}], True), ([{"make": "Fiat"}], True), ([{"colour": "blue"}], False)],
)
def test_it_warns_of_attributes_that_nobody_had(attributes, warns, caplog: pytest.LogCaptureFixture):
    unmatched = Unmatched("line", "cam", {"gate": FilterOptions(where={"colour": "red"})})
    with caplog.at_level(logging.WARNING):
        unmatched.note(["car"], attributes)
        unmatched.warn()
    said = "line 'gate' of stream 'cam' asks for 'colour', but no object had one; a stage that gives it"
    assert [message.startswith(said) for message in caplog.messages] == [True] * warns
