import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.problems import ConfigProblems, Origin
from pipeline.config.tree import Tree
from pipeline.config.yaml_tree import MAX_NODES, read_value, read_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)


def read(text: str) -> Tree:
    tree, problems = read_yaml(text, "x.yaml")
    assert not problems
    return tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("320", 320),
        ("-3", -3),
        ("010", 10),
        ("0x10", 16),
        ("0o10", 8),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("car", "car"),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        (".nan", ".nan"),
        ("2024-01-01", "2024-01-01"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("rtsp://u:p@cam/1?a=b#c", "rtsp://u:p@cam/1?a=b#c"),
        ("tcp://*:5577", "tcp://*:5577"),
        ("[car, bus]", ["car", "bus"]),
        ("{width: 320}", {"width": 320}),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    got = read_value(text, Origin("test"))
    assert got == value
    assert type(got) is type(value)


def test_every_key_and_entry_has_its_line() -> None:
    tree = read(
        "#\nstreams:\n  gate:\n    source: x\nstages:\n  - motion\n  - count:\n      1: [5,\n       6]\n"
    )
    lines = {path: origin.line for path, origin in tree.origins.items() if path}
    assert lines == {
        ("streams",): 2,
        ("streams", "gate"): 3,
        ("streams", "gate", "source"): 4,
        ("stages",): 5,
        ("stages", 0): 6,
        ("stages", 1): 7,
        ("stages", 1, "count"): 7,
        ("stages", 1, "count", "1"): 8,
        ("stages", 1, "count", "1", 0): 8,
        ("stages", 1, "count", "1", 1): 9,
    }


def test_what_is_missing_is_looked_for_where_its_mapping_begins() -> None:
    tree = read("streams:\n  gate: {}\n")
    assert tree.origin(("streams", "gate", "source")) == Origin("x.yaml", 2)


def test_an_alias_stands_for_a_copy_of_its_anchor() -> None:
    tree = read("a: &a {width: 1}\nb: *a\n")
    assert tree.root == {"a": {"width": 1}, "b": {"width": 1}}
    assert tree.root["a"] is not tree.root["b"]
    assert tree.origin(("b", "width")).line == 1


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a:\n\tb: 1\n", 2, "tab"),
        ("a: 1\nb:\tc: 2\n", 2, "tab"),
        ("a:\n  width:480\n  height: 3\n", 2, "a space is missing after the colon; write 'width: ...'"),
        ("a:\n  b: 1\n  width:480\n", 3, "a space is missing after the colon; write 'width: ...'"),
        ("a:\n  - width:480\n    b: 1\n", 2, "a space is missing after the colon; write 'width: ...'"),
        ("a: [1, 2\nb: 3\n", 1, "without its ']'"),
        ("a:\n  b: {x: 1\nc: 3\n", 2, "without its '}'"),
        ("a: {x: 1 y: 2}\n", 1, "comma"),
        ("a: ]\n", 1, "']' closes nothing"),
        ("a: 1\n  b: 2\n", 2, "indentation"),
        ("a:\n    b: 1\n  c: 2\n", 3, "line up"),
        ("a:\n  - x\n  b: 2\n", 3, "line up"),
        ('a: 1\nb: "foo\nc: 2\n', 2, "quote that is never closed"),
        ("a: - b\n", 1, "line of its own"),
        ("a: *x\n", 1, "quote a value that begins with '*'"),
        ("a: @x\n", 1, "'@'; put it in quotes"),
        ("a: %x\n", 1, "'%'; put it in quotes"),
        ('a: "C:\\qideo"\n', 1, "single quotes"),
        ("a: 1\nb\nc: 2\n", 2, "neither 'key: value'"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: &x 1\nb: &x 2\n", 2, "is taken"),
        ("a: 1\nb: \x01\n", 2, "not a text file"),
        ("a\0b", 1, "not a text file"),
        ("", None, "empty"),
        ("# nothing\n", None, "empty"),
        ("- a\n", 1, "key: value"),
        ("\nvideo.mp4\n", 2, "key: value"),
        ("a: " + "[" * 50_000, 1, "nested more than 32 deep"),
        ("a: &a [*a, *a]\n", 1, "does an alias hold itself?"),
        (LAUGHS, 1, f"more than {MAX_NODES} values"),
    ],
)
def test_what_is_not_yaml_is_one_line_with_its_place(text: str, line: int | None, says: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        read_yaml(text, "x.yaml")
    (problem,) = caught.value.problems
    assert problem.origin == Origin("x.yaml", line)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: a: key 'a' is written twice, first in line 1; keep one"),
        (
            "streams:\n  gate: {}\n  gate: {}\n",
            "x.yaml:3: streams.gate: stream 'gate' is written twice, first in line 2; give one another name",
        ),
        ("1: x\n'1': y\n", "x.yaml:2: 1: key '1' is written twice, first in line 1; keep one"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "x.yaml:1: a: the tag 'python/object/apply:os.system' is not allowed; remove it",
        ),
        ("a: !!set {b}\n", "x.yaml:1: a: the tag 'set' is not allowed; remove it"),
        ("a: !!int x\n", "x.yaml:1: a: not a number that can be read"),
        (f"a: {'9' * 5000}\n", "x.yaml:1: a: not a number that can be read"),
        ("a: 1e999\n", "x.yaml:1: a: a number too large to be used"),
        ("? [1]\n: 2\n", "x.yaml:1: a list or mapping as a key; is a quote or a comma missing?"),
        (
            "a: &a {b: 1}\nc: {<<: *a}\n",
            "x.yaml:2: c: YAML 1.2 has no merge key '<<'; write the settings out",
        ),
    ],
)
def test_what_yaml_allows_but_a_configuration_does_not(text: str, line: str) -> None:
    _, problems = read_yaml(text, "x.yaml")
    assert [str(problem) for problem in problems] == [line]


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab:- \n\t[]{}#&*!|>'\"%@`,?~<1.0\\\0\x85\u2028é"), max_size=60))
def test_any_text_is_read_or_refused_line_by_line(text: str) -> None:
    try:
        _, problems = read_yaml(text, "x.yaml")
    except ConfigProblems as error:
        problems = list(error.problems)
        assert problems
    for problem in problems:
        assert str(problem).startswith("x.yaml")
        assert str(problem).isprintable()
