"""Commands of other packages: at their best they are like our own, at their worst they cost one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pipeline.cli import extensions
from tests.command import Outcome, Sightline
from tests.pipeline.cli.test_commands import COMMANDS

GOOD = '''
import typer

app = typer.Typer(help="Has one subcommand.")

@app.command()
def shout(word: str) -> None:
    """Say it aloud.

    Example: sightline whole shout word
    """
    typer.echo(word.upper())

def plain(times: int = 2) -> None:
    """Say something."""
    typer.echo("something " * times)
'''

Register = Callable[[dict[str, str]], None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Register:
    """Registers extensions in the place of those that are installed.

    By name -> "module:object"; a name of several words adds to the group that the first ones name.
    """
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "good_extension.py").write_text(GOOD)

    def put(entries: dict[str, str]) -> None:
        found = []
        for name, value in entries.items():
            parent, _, child = name.rpartition(" ")
            found.append(
                EntryPoint(
                    child, value, "sightline.commands" + ("." + parent.replace(" ", ".") if parent else "")
                )
            )
        monkeypatch.setattr(
            extensions, "entry_points", lambda group: [entry for entry in found if entry.group == group]
        )

    return put


def broken_module(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def listed(said: Outcome) -> list[str]:
    """The commands of a help text, from its second box."""
    rows = said.out.partition("Commands")[2].splitlines()
    return [row[2:].split()[0] for row in rows if row.startswith("│ ") and not row.startswith("│  ")]


def test_functions_and_groups_become_commands(register: Register, sightline: Sightline) -> None:
    register({"whole": "good_extension:app", "part": "good_extension:plain"})
    said = sightline("--help")
    assert listed(said) == [*COMMANDS, "part", "whole"]
    assert said.err == ""
    assert sightline("whole", "shout", "word").out == "WORD\n"
    assert sightline("part", "--times", "1").out == "something \n"
    assert sightline("part", "--nonsense").code == 2
    for words in (["whole"], ["whole", "shout"], ["part"]):
        told = sightline(*words, "-h")
        assert told.code == 0
        assert "Exit codes" in told.out


def test_a_group_can_be_added_to(register: Register, sightline: Sightline) -> None:
    register(
        {
            "whole": "good_extension:app",
            "whole part": "good_extension:plain",
            "whole deep": "good_extension:app",
            "whole deep part": "good_extension:plain",
        }
    )
    assert listed(sightline("whole", "--help")) == ["shout", "deep", "part"]
    assert sightline("whole", "shout", "word").out == "WORD\n"
    assert sightline("whole", "part", "--times", "1").out == "something \n"
    assert sightline("whole", "deep", "shout", "word").out == "WORD\n"
    assert sightline("whole", "deep", "part", "--times", "1").out == "something \n"
    assert "Exit codes" in sightline("whole", "part", "--help").out
    assert listed(sightline("--help")) == [*COMMANDS, "whole"]


def test_a_broken_addition_leaves_its_group_whole(
    register: Register, sightline: Sightline, caplog: pytest.LogCaptureFixture
) -> None:
    register({"whole": "good_extension:app", "whole odd": "missing_extension:app"})
    said = sightline("whole", "--help")
    assert (said.code, listed(said)) == (0, ["shout"])
    (warning,) = [record.getMessage() for record in caplog.records]
    reason = "command 'odd' (missing_extension:app) cannot be imported: No module named 'missing_extension'"
    assert warning == f"{reason}; it is left out"
    assert sightline("whole", "shout", "word").out == "WORD\n"
    assert sightline("whole", "odd").errors == [reason]


def test_an_addition_cannot_take_a_name(
    register: Register, sightline: Sightline, caplog: pytest.LogCaptureFixture
) -> None:
    register({"whole": "good_extension:app", "whole shout": "good_extension:plain"})
    assert listed(sightline("whole", "--help")) == ["shout"]
    assert "the name is that of a built-in command" in caplog.text
    assert sightline("whole", "shout", "word").out == "WORD\n"


BROKEN = {
    # name: its module's text, what is told
    "missing": (None, "No module named 'missing_extension'"),
    "raises": ("raise RuntimeError('first line\\nsecond line')", "first line second line"),
    "silent": ("raise RuntimeError", "RuntimeError"),
    "exits": ("import sys; sys.exit('bye')", "bye"),
    "syntax": ("def def", "invalid syntax"),
    "empty": ("", "has no attribute 'app'"),
    "number": ("app = 3", "a int is neither a function nor a typer.Typer"),
    "options": ("def app(what: 'Nowhere') -> None: ...", "name 'Nowhere' is not defined"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_one_costs_one_warning_in_the_list(
    name: str,
    register: Register,
    sightline: Sightline,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    text, reason = BROKEN[name]
    if text is not None:
        broken_module(tmp_path, f"{name}_extension", text)
    register({"broken": f"{name}_extension:app", "part": "good_extension:plain"})
    said = sightline("--help")
    assert said.code == 0
    assert listed(said) == [*COMMANDS, "part"]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"command 'broken' ({name}_extension:app) cannot be imported: ")
    assert reason in warning
    assert "\n" not in warning


@pytest.mark.parametrize("words", [[], ["--help"], ["anything", "--at", "all"]])
def test_who_uses_a_broken_one_is_told_why(
    words: list[str], register: Register, sightline: Sightline
) -> None:
    register({"broken": "missing_extension:app"})
    said = sightline("broken", *words)
    assert said.code == 2
    assert said.errors == [
        "command 'broken' (missing_extension:app) cannot be imported: No module named 'missing_extension'"
    ]
    assert said.err.count("\n") == 1


def test_other_commands_neither_import_nor_look_for_extensions(
    monkeypatch: pytest.MonkeyPatch, sightline: Sightline
) -> None:
    def look(group: str) -> Iterable[EntryPoint]:
        raise AssertionError("which costs time and may fail")

    monkeypatch.setattr(extensions, "entry_points", look)
    for words in (["check", "demo"], ["demo", "--help"], ["--version"]):
        assert sightline(*words).code == 0


def test_names_that_are_taken(
    register: Register,
    sightline: Sightline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours = EntryPoint("part", "good_extension:plain", "sightline.commands")
    entries = [
        EntryPoint("demo", "good_extension:plain", "sightline.commands"),
        ours,
        ours,  # installed twice, as happens with editable installs
        EntryPoint("part", "other:plain", "sightline.commands"),
    ]
    monkeypatch.setattr(
        extensions, "entry_points", lambda group: entries if group == "sightline.commands" else []
    )
    assert listed(sightline("--help")) == [*COMMANDS, "part"]
    assert [record.getMessage() for record in caplog.records] == [
        "command 'demo' (good_extension:plain) is left out: the name is that of a built-in command",
        "command 'part' (other:plain) is left out: the name is that of good_extension:plain",
    ]
    assert "Count cars" in sightline("demo", "--help").out


def test_an_installed_package_in_a_process_of_its_own(tmp_path: Path) -> None:
    """As pytest takes log lines for itself: the warning looks like all others of the command line."""
    info = tmp_path / "someone-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: someone\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sightline.commands]\nodd = someone_missing:app\n")
    program = str(Path(sys.executable).with_name("sightline"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = {
        words: subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=200, env=environment, check=False
        )
        for words in (("--help",), ("odd",))
    }
    reason = "command 'odd' (someone_missing:app) cannot be imported: No module named 'someone_missing'"
    assert f"warning: {reason}; it is left out\n" in said["--help",].stderr
    assert said["--help",].returncode == 0
    assert (said["odd",].returncode, said["odd",].stderr) == (2, f"error: {reason}\n")
