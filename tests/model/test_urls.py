"""URLs in messages show no user, password or query, however they are written."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minglibc
from minglibc.errors import SettingsError
from minglibc.index.credentials import Credentials
from minglibc.model.urls import display_url, hide_secrets

HOST = "index.example.invalid:8443/simple/"
passwords = st.text("abc/?#@:%[]\\é. &=;", max_size=12).map(lambda text: f"s3{text}cr3t")


@given(passwords, st.sampled_from(("http", "https", "HTTPS", "ftp", "ssh+git", "git+https", "file")), st.booleans())
def test_passwords(password: str, scheme: str, bare: bool) -> None:  # noqa: FBT001  Hypothesis gives it
    """Nothing before the last "@" is shown, whichever special characters the password has."""
    url = f"{scheme}://{'' if bare else 'user:'}{password}@{HOST}"
    # Without its own scheme, what precedes "://" in a password looks like one.
    without_scheme = [] if "://" in password else [display_url(url.partition("://")[2])]
    for shown in (display_url(url), *without_scheme):
        assert "s3" not in shown
        assert "cr3t" not in shown
        assert "user" not in shown
    if " " not in password:
        assert "cr3t" not in hide_secrets(f"can't read '{url}': it is ({url}), again {url}.")


@given(passwords, st.sampled_from("?#"))
def test_queries(secret: str, mark: str) -> None:
    """Nothing after the path is shown: storage services sign URLs in the query."""
    assert "s3" not in display_url(f"https://{HOST}{mark}{secret}")
    assert display_url(f"https://{HOST}b/{mark}X-Signature=s3cr3t") == f"https://{HOST}b/"


@pytest.mark.parametrize(
    "url", ["https://h/simple/b/", "http://[::1]:80/x", "file:///a/b", "libs/wheels", "", "://", "http://["]
)
def test_plain_urls(url: str) -> None:
    """Other URLs and paths are shown as they are."""
    assert display_url(url) == url
    assert hide_secrets(f"error: {url}: no") == f"error: {url}: no"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("git+https://git.example.invalid/o/r.git@v1.0", "git+https://git.example.invalid/o/r.git@v1.0"),
        ("git+ssh://git@git.example.invalid/o/r@main#egg=r", "git+ssh://git.example.invalid/o/r@main"),
        ("git+https://git.example.invalid/o/r", "git+https://git.example.invalid/o/r"),
        ("git+https://me:secret@git.example.invalid/o/r@v1", "git+https://****"),
        ("git+https://secret.x/y@git.example.invalid/o/r", "git+https://****"),
        ("git+https://12/secret@git.example.invalid@v1", "git+https://****"),
    ],
)
def test_revisions(url: str, shown: str) -> None:
    """The revision of a repository is no password."""
    assert display_url(url) == shown
    assert hide_secrets(f"'r @ {url}' is in a repository") == f"'r @ {shown}' is in a repository"


@given(st.text())
def test_control_characters(text: str) -> None:
    """A URL is shown on one line, without control characters."""
    assert display_url(text).isprintable()


@pytest.mark.parametrize("password", ["s3cr3t/x", "s3cr3t?x", "s3cr3t#x", "1234/x", "a/b?c#d", "/", "x@y/z"])
def test_ambiguous_index_urls_are_refused(password: str) -> None:
    """A password with an unescaped "/", "?" or "#" would make another URL, and is not sent or shown."""
    for user in ("user:", ""):
        with pytest.raises(SettingsError) as caught:
            Credentials().take(f"https://{user}{password}@{HOST}")
        assert password not in caught.value.message
    plain = Credentials().take(
        f"https://user:{password.replace('/', '%2F').replace('?', '%3F').replace('#', '%23').replace('@', '%40')}@{HOST}"
    )
    assert plain == f"https://{HOST}"


URL_IN_BRACES = re.compile(r"(url|base)[!:}]")


def _formatted_urls(tree: ast.AST) -> list[int]:
    """The lines of messages that format a URL by another way than ``display_url``."""
    lines = []
    for call in ast.walk(tree):
        name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
        method = call.func.attr if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else ""
        if not (
            name.endswith(("Error", "Unreachable", "NotFound", "Problem", "Rejection"))
            or method in {"info", "warn", "add"}
        ):
            continue
        for node in ast.walk(call):
            if isinstance(node, ast.FormattedValue):
                value = node.value
                text = (
                    value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
                )
                if text in {"url", "base", "index_url", "direct_url", "base_url"}:
                    lines.append(node.lineno)
    return lines


def test_one_function_formats_urls() -> None:
    """No message formats a URL that did not pass ``display_url``."""
    root = Path(minglibc.__file__).parent
    offenders = {}
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        # A variable that display_url returned; and parsing all modules takes seconds.
        skipped = "url = display_url(" in text or not URL_IN_BRACES.search(text)
        lines = [] if skipped else _formatted_urls(ast.parse(text))
        if lines:
            offenders[str(path.relative_to(root))] = lines
    assert offenders == {}
