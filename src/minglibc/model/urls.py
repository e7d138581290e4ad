"""The URL of the default index, and URLs in messages: this is the only way in which they are printed."""

import re

from minglibc.model.artifacts import printable

DEFAULT_INDEX_URL = "https://pypi.org/simple/"
# All addresses of PyPI, without the last slash.
PUBLIC_INDEXES = frozenset(("https://pypi.org/simple", "https://pypi.python.org/simple"))
HIDDEN = "****"
# Compiled on first use: few hosts are addresses, and few messages contain a URL.
_BRACKETS = r"[^\[\]]*|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?"
# The revision of a repository, which "@" separates from a path without credentials; credentials precede a host and its path.
_REVISION = (
    r"(?i:(?:git|hg|svn|bzr)\+[a-z]+)://(?:git@)?([a-z0-9-]+(?:\.[a-z0-9-]+)+/[^@:?#\s]+@[^@:/?#\s]+)(?:[?#].*)?"
)
_URL = r"[A-Za-z][A-Za-z0-9+.-]*://\S+"


def is_valid_host(host: str) -> bool:
    """Whether the brackets in *host*, with its port, enclose an IPv6 address; urllib's check depends on the Python."""
    return re.fullmatch(_BRACKETS, host) is not None


def display_url(url: str) -> str:
    """*url* without user, password, query and fragment, and without control characters.

    The revision of a repository is shown (git+https://host/path@revision). A password may contain "/", "?" and "#" that are not escaped, so nothing before the last "@" is shown.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    if "+" in scheme and (match := re.fullmatch(_REVISION, url)):
        return f"{scheme}://{match[1]}"
    secret, _, rest = rest.rpartition("@")
    if any(letter in secret for letter in "/?#"):
        rest = HIDDEN  # the "@" may also be in a path or query
    path = rest.partition("?")[0].partition("#")[0]
    return printable(f"{scheme}{separator}{path}")


def hide_secrets(text: str) -> str:
    """*text* with each URL in it as ``display_url`` shows it."""
    if "://" not in text:
        return text
    return re.sub(_URL, lambda match: _display_quoted(match[0]), text)


def _display_quoted(url: str) -> str:
    """A URL in a sentence, with the punctuation that follows it."""
    end = len(url.rstrip("\"'`),;:.…>]}"))
    return display_url(url[:end]) + url[end:]
