import pytest

from pipeline.config.problems import ConfigProblems, Origin, Problem, shown, spelled, suggestion
from pipeline.errors import ConfigError


def test_all_are_told_in_the_order_of_the_file_then_the_overrides() -> None:
    error = ConfigProblems(
        [
            Problem(Origin("--set out"), "out", "expected text"),
            Problem(Origin("x.yaml", 12), "stages[1].count", "missing"),
            Problem(Origin("x.yaml", 3), "", "a tab"),
        ]
    )
    assert isinstance(error, ConfigError)
    assert str(error).splitlines() == [
        "x.yaml:3: a tab",
        "x.yaml:12: stages[1].count: missing",
        "--set out: out: expected text",
    ]


def test_a_problem_is_one_line_whatever_a_plug_in_says() -> None:
    assert str(Problem(Origin("x", 1), "", "first\n  second")) == "x:1: first second"


def test_a_path_is_spelled_as_users_write_it() -> None:
    assert spelled(("streams", "gate", "stages", 1, "count")) == "streams.gate.stages[1].count"
    assert spelled(("lines", "main road\n")) == r"lines['main road\n']"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        ("car", "'car'"),
        ([1, "a"], "[1, 'a']"),
        ("x" * 100, f"'{'x' * 55} ..."),
        ("rtsp://admin:p@ss/word@10.0.0.1/1", "'rtsp://***@10.0.0.1/1'"),
        ({"url": "rtsp://admin:pw@cam"}, "{'url': 'rtsp://***@cam'}"),
    ],
)
def test_values_are_shown_short_and_without_credentials(value: object, text: str) -> None:
    assert shown(value) == text


def test_the_nearest_known_word_is_suggested() -> None:
    assert suggestion("ANKOR", ["band", "anchor"]) == "; did you mean 'anchor'?"
    assert suggestion("xyz", ["band", "anchor"]) == ""
