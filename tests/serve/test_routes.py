"""Paths of the server."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minglibc.model.targets import GlibcVersion, MuslVersion, PythonVersion
from minglibc.serve.routes import Selection, UnknownPath, parse_path, path_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/glibc-2.27/simple/", Selection(GlibcVersion(2, 27))),
        ("/manylinux2014/simple/", Selection(GlibcVersion(2, 17))),
        ("/manylinux_2_28/simple/", Selection(GlibcVersion(2, 28))),
        ("/musl-1.2/simple/", Selection(MuslVersion(1, 2))),
        ("/musllinux_1_1/simple/", Selection(MuslVersion(1, 1))),
        ("/rhel-8/simple/", Selection(GlibcVersion(2, 28))),
        ("/ubuntu-18.04/simple/", Selection(GlibcVersion(2, 27))),
        ("/glibc-2.27/x86_64/cp39/simple/", Selection(GlibcVersion(2, 27), "x86_64", PythonVersion(9))),
        ("/glibc-2.27/cp313t/simple/", Selection(GlibcVersion(2, 27), "", PythonVersion(13, free_threaded=True))),
        ("/rhel-8/x86_64/cp312/verified/simple/", Selection(GlibcVersion(2, 28), "x86_64", PythonVersion(12), True)),
    ],
)
def test_selections(path: str, expected: Selection) -> None:
    """A path names a cap, and optionally an architecture, a Python and the check of binaries."""
    assert expected == parse_path(path).selection
    assert expected == parse_path(f"/{path_of(expected)}/simple/").selection


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/rhel-8/simple", "simple/"),
        ("/rhel-8/simple/six", "six/"),
        ("/rhel-8/simple/Zope.Interface/", "../zope-interface/"),
        ("/rhel-8/simple/Zope.Interface", "zope-interface/"),
        ("/rhel-8/project/Zope.Interface", "zope-interface"),
    ],
)
def test_redirects(path: str, location: str) -> None:
    """Names are normalized and paths of pages end with a slash; redirects are relative, for servers with a path prefix."""
    assert location == parse_path(path).redirect


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/simple/six/", "expected a path such as /glibc-2.27/simple/"),
        ("/2.27/simple/six/", "'2.27' does not name a C library; write glibc-2.27 or musl-2.27"),
        ("/glibc-rhel-8/simple/six/", "is not a cap"),
        ("/glibc-2.99/simple/six/", "newer than glibc 2.43, the newest known version"),
        ("/glibc-3.0/simple/six/", "every release is 2.x"),
        ("/debain-11/simple/six/", "did you mean debian"),
        ("/glibc-2.17/riscv64/simple/six/", "too old for riscv64"),
        ("/glibc-2.27/cp39/x86_64/simple/six/", "in this order"),
        ("/glibc-2.27/verified/verified/simple/six/", "at most once"),
        ("/glibc-2.27/cp399/simple/six/", "Python 3.99 is not one of"),
        ("/glibc-2.27/cp99/simple/six/", "expected an architecture"),
        ("/glibc-2.27/arm64/simple/six/", "it is called aarch64 here"),
        ("/glibc-2.27/simple/a/b/", "expected a path"),
        ("/glibc-2.27/simple/../", "expected a path"),
        ("/glibc-2.27/simple/a%0d/", "expected a path"),
        ("/glibc-2.27/simple/a\r\nX: y/", "expected a path"),
        ("/glibc-2.27/files/a/../../b.whl", "expected a path"),
        ("/glibc-2.27/files/a/..", "expected a path"),
        ("//glibc-2.27/simple/a/", "is not a glibc version"),
        ("/../glibc-2.27/simple/a/", "is not a glibc version"),
        ("/" + "a" * 2000, "too long"),
    ],
)
def test_unknown_paths(path: str, reason: str) -> None:
    """Other paths are unknown, and the message says why."""
    with pytest.raises(UnknownPath) as caught:
        parse_path(path)
    assert reason in str(caught.value)


@settings(max_examples=50)
@given(
    st.lists(
        st.sampled_from(["glibc-2.27", "rhel-8", "x86_64", "cp39", "verified", "simple", "files", "..", ".", "", "a"])
    )
)
def test_any_path(parts: list[str]) -> None:
    """A path is a route or unknown; what it names has no separators."""
    try:
        route = parse_path("/" + "/".join(parts))
    except UnknownPath:
        return
    assert "/" not in route.project + route.filename
    assert ".." not in (route.project, route.filename)
