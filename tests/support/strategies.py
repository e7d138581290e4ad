"""Hypothesis strategies for versions, specifiers and the versions around their bounds."""

import re

from hypothesis import strategies as st
from packaging.version import Version

numbers = st.integers(0, 12).map(str)
releases = st.lists(numbers, min_size=1, max_size=4).map(".".join)
_padded = st.lists(numbers | st.sampled_from(["00", "03", "010"]), min_size=1, max_size=3).map(".".join)
canonical_versions = st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(["", "", "", "1!"]),
    releases,
    st.sampled_from(["", "", "a0", "a1", "b2", "rc1", "rc10"]),
    st.sampled_from(["", "", ".post0", ".post1", ".post11"]),
    st.sampled_from(["", "", ".dev0", ".dev3"]),
    st.sampled_from(["", "", "", "+l", "+l.1", "+1", "+1.2.a"]),
)
odd_versions = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "v", "0!"]),
    releases | _padded,
    st.sampled_from(["", "-1", "_rc_1", "ALPHA", "-beta.2", "a.0", ".b.1", "c3", ".pre", "rev2", "01", "a01"]),
    st.sampled_from(["", "dev", "dev2", ".dev", "-dev-1", "+LOCAL_x-01"]),
)
any_versions = canonical_versions | odd_versions

# Valid clauses in the forms that the fast path reads.
_suffix = st.sampled_from(
    ["", "", "", "a1", "b2", "rc1", ".post1", "-1", ".dev3", "dev", "rc1.dev2", ".post1.dev0", "a.1"]
)
plain_clauses = st.one_of(
    st.builds("{}{}{}".format, st.sampled_from(["==", "!=", "<=", ">=", "<", ">", "<", ">"]), releases, _suffix),
    st.builds("~={}.{}{}".format, numbers, releases, _suffix),
    st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), releases),
)
# Valid clauses that packaging has to read.
odd_clauses = st.one_of(
    st.builds("==={}".format, canonical_versions),
    st.builds("{}{}+l.1".format, st.sampled_from(["==", "!="]), releases),
    st.builds("{}1!{}".format, st.sampled_from(["==", "<", ">", "<=", ">="]), releases),
    st.builds("{}v{}".format, st.sampled_from(["==", "<", ">"]), releases),
)


@st.composite
def _specifiers(draw: st.DrawFn) -> str:
    # One in eight is for packaging; most have a single clause, because several often exclude each other.
    is_plain = draw(st.sampled_from([True] * 7 + [False]))
    count = draw(st.sampled_from([1, 1, 1, 2, 3]))
    clauses = [draw(plain_clauses) for _ in range(count)]
    return ",".join(clauses if is_plain else [*clauses[1:], draw(odd_clauses)])


specifiers = _specifiers()
invalid_specifiers = st.one_of(
    st.builds("{}{}.*".format, st.sampled_from(["<", ">", "<=", ">=", "~="]), releases),
    st.builds("~={}".format, numbers),
    st.builds("{}{}+l".format, st.sampled_from(["<", ">", "<=", ">="]), releases),
    st.builds("={}".format, releases),
    st.builds("{}{}rc1.*".format, st.sampled_from(["==", "!="]), releases),
)


def neighbours(version: str) -> list[str]:
    """Versions just below, at and just above the bounds that a clause with *version* can have."""
    parsed = Version(version)
    release = list(parsed.release)
    releases = [release, [*release, 0], [*release, 1]]
    # The bounds of ~= and ==X.* are prefixes of the release with the last part raised.
    for length in range(1, len(release) + 1):
        prefix = release[:length]
        releases += [prefix, [*prefix[:-1], prefix[-1] + 1]]
        if prefix[-1]:
            releases.append([*prefix[:-1], prefix[-1] - 1, 99])
    texts = [".".join(map(str, parts)) for parts in releases]
    suffixes = ("", ".dev0", "a0", "rc1", "rc9", ".post0.dev0", ".post0", ".post1", ".post9", "+local")
    candidates = [text + suffix for text in texts for suffix in suffixes]
    public = parsed.public
    candidates += [public, f"{public}+local", f"1!{texts[0]}"]
    if parsed.dev is None:
        candidates.append(f"{public}.dev0")
    if parsed.post is None and parsed.dev is None:
        candidates.append(f"{public}.post2")
    return candidates


@st.composite
def specifiers_with_versions(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A valid specifier, and versions around the bounds of its clauses."""
    specifier = draw(specifiers)
    bounds = [re.sub(r"^(===|~=|==|!=|<=|>=|<|>)|\.\*$", "", clause) for clause in specifier.split(",")]
    candidates = [candidate for bound in bounds for candidate in neighbours(bound)]
    chosen = draw(st.lists(st.sampled_from(candidates), min_size=6, max_size=20, unique=True))
    return specifier, [*bounds, *chosen, *draw(st.lists(any_versions, max_size=3))]
