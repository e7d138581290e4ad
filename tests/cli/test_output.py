"""Output: streams that can't be written, and lines that fit the terminal."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minglibc.cli import output
from minglibc.model.targets import GlibcVersion, PythonVersion, Target

COMMANDS = ("--help", "--version", "lock --help", "tags --glibc 2.17 --python 3.11")
BUFFERING = pytest.mark.parametrize("buffering", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(command: str, stdout: int, buffering: dict[str, str], *, stderr: int = subprocess.PIPE) -> tuple[int, str]:
    """The exit code and stderr of a command."""
    program = [sys.executable, "-m", "minglibc", *command.split()]
    ran = subprocess.run(program, env=BUFFERED | buffering, stdout=stdout, stderr=stderr, text=True, check=False)
    return ran.returncode, ran.stderr


@BUFFERING
@pytest.mark.parametrize("command", COMMANDS)
def test_closed_pipe(command: str, buffering: dict[str, str]) -> None:
    """A command whose output nobody reads prints no error and exits with 1."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert (1, "") == run(command, writing, buffering)
        assert 1 == run(command, writing, buffering, stderr=writing)[0]
    finally:
        os.close(writing)


@BUFFERING
@pytest.mark.parametrize("command", COMMANDS)
def test_full_disk(command: str, buffering: dict[str, str]) -> None:
    """A command whose output can't be written prints an error of one line and exits with 1."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        code, err = run(command, full.fileno(), buffering)
        silent = run(command, full.fileno(), buffering, stderr=full.fileno())[0]
    assert (1, 1) == (code, silent)
    assert err in {f"error: {context}No space left on device\n" for context in ("", "can't write to stdout: ")}


@pytest.mark.parametrize("code", [1, 2, 143])
def test_failure_keeps_its_exit_code(code: int) -> None:
    """Lost output turns a success into a failure, and does not change the exit code of a failure."""
    program = f"import minglibc.cli as cli; cli._run = lambda arguments: print() or {code}; cli.main()"
    with open("/dev/full", "w", encoding="utf-8") as full:
        ran = subprocess.run([sys.executable, "-c", program], env=BUFFERED, stdout=full, stderr=full, check=False)
    assert code == ran.returncode


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "ascii:surrogateescape", "utf-8"])
def test_encodings_without_all_characters(encoding: str, tmp_path: Path) -> None:
    """Characters that the encoding of stdout lacks are escaped."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\n[tool.minglibc]\nglibc = "2.17"\npython = ["3.11"]\n', encoding="utf-8"
    )
    code = "from minglibc.cli import main; import minglibc.cli.tags as t; t.run = lambda _: print('a → \\udcff é') or 0; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, "tags", "--glibc", "2.17"],
        env=BUFFERED | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(b"a ")
    assert b"Traceback" not in ran.stderr


HOSTILE = "\x1b[2J\x9b2J\u202e\r https://user:s3cr3t@h.invalid/x?sig=s3cr3t"


def test_results_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Text, tables and JSON on stdout have neither control characters nor secrets of URLs."""
    output.print_text(f"one\n{HOSTILE}")
    output.print_table(["head", HOSTILE], [[f"a\n{HOSTILE}", "b"], ["c", "d\te"]])
    output.print_json({"a": [HOSTILE, {"b": HOSTILE}], "c": None, "d": 1.5, "e": (True, HOSTILE)})
    text = capsys.readouterr().out
    assert "s3cr3t" not in text
    assert "user" not in text
    assert not set("\x1b\x9b\u202e\r\t") & set(text)
    table, _, value = text.partition("{")
    assert len(table.splitlines()) == 2 + 3
    # Columns are as wide as what is printed.
    assert table.splitlines()[3].index("  b") + 2 == table.splitlines()[4].index("d")
    assert json.loads("{" + value)["a"][0].endswith("https://h.invalid/x")


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_progress_fits_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spinner shows the release that the resolver waits for in one line, and the target where there is room."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(output, "_DELAY", 0)
    terminal = output.Terminal()
    terminal._shows_progress = True
    terminal._status = Spinner()
    shown = terminal._status.shown
    terminal.resolving(Target(PythonVersion(11), "x86_64", GlibcVersion(2, 17)))
    terminal.fetching("polars_runtime_32-2.0.0-cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
    assert max(len(f"⠋ {line}") for line in shown) < columns
    assert ("polars_runtime_32 2.0.0" in shown[-1]) == (columns > 20)
    assert ("for CPython 3.11 on x86_64 with glibc 2.17: waiting" in shown[-1]) == (columns == 200)


class Spinner:
    """Records what rich's Status would show."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, text: str) -> None:
        """Record *text*."""
        self.shown.append(text)


@pytest.mark.parametrize("columns", [30, 80])
def test_bars_fit_one_line(columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A bar has the name of the release, not of its file, and is not wider than the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with output.Terminal() as terminal:
        terminal.downloading("nvidia_cublas_cu12-12.4.5.8-py3-none-manylinux2014_x86_64.whl", 10**6, 363 * 10**6)
        terminal.downloading("a-1.0-py3-none-any.whl", 1, 2)
        terminal.installing(2)
    err = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = re.split(r"[\r\n]+", err)
    assert any("a 1.0" in line for line in lines)
    assert any("1.0/363.0 MB" in line for line in lines)
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_tables_fit_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a terminal, the widest cells are wrapped; elsewhere, each row is one line."""
    reason = "torch 2.6.0 requires nvidia-cublas-cu12==12.4.5.8"
    monkeypatch.setenv("COLUMNS", str(columns))
    output.print_table(["package", "blocked by"], [["nvidia-cublas-cu12", reason]])
    assert f"nvidia-cublas-cu12  {reason}" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    output.print_table(["package", "blocked by"], [["nvidia-cublas-cu12", reason]])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert reason.replace(" ", "") == "".join(line[20:] for line in lines[1:]).replace(" ", "")


class FakeTerminal(io.StringIO):
    """A stream that is a terminal of 40 columns."""

    def isatty(self) -> bool:
        """Always."""
        return True


def test_messages_are_wrapped_in_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of a message are wrapped between words to the terminal's width, and are as long as they are in a pipe."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    message = "error: no set of wheels:\n  left 1.0 to 3.0 require scikit-learn>=1.0,<2.0\n  x https://example.invalid/a-long-address"
    terminal, pipe = FakeTerminal(), io.StringIO()
    output.print_message(message, terminal)
    output.print_message(message, pipe)
    assert f"{message}\n" == pipe.getvalue()
    assert [
        "error: no set of wheels:",
        "  left 1.0 to 3.0 require",
        "      scikit-learn>=1.0,<2.0",
        "  x",
        "      https://example.invalid/a-long-address",
    ] == terminal.getvalue().splitlines()
