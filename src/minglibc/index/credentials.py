"""Credentials of indexes: each is sent only to its own host, and is never written to a file or a message."""

import os
from _thread import allocate_lock  # threading's own; a lock that uses no network does not import that
from typing import Any

from minglibc.errors import SettingsError
from minglibc.model.artifacts import printable

KEYRING = "MINGLIBC_KEYRING_PROVIDER"
_KEYRING_CHOICES = ("disabled", "subprocess")
_KEYRING_TIMEOUT = 30.0
_MAX_MESSAGE = 200
_DEFAULT_PORTS = {"http": 80, "https": 443}

# URLs without these characters have no credentials, and no brackets, which urllib may reject.
_SPECIAL = frozenset("@[]")

# Scheme, host and port (RFC 6454).
Origin = tuple[str, str, int]


class Credentials:
    """The credentials of each host: from URLs and environment variables, else from netrc, else from keyring."""

    def __init__(self) -> None:
        # What is wrong with netrc or keyring.
        self.problem = ""
        self._indexes: dict[Origin, tuple[str, str]] = {}
        self._users: dict[Origin, str] = {}
        self._known: dict[Origin, str] = {}
        self._netrc: dict[str, tuple[str, str]] | None = None
        self._plain_urls: list[str] = []
        # Worker threads ask for headers.
        self._lock = allocate_lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=allocate_lock())

    def take(self, url: str, *, name: str = "") -> str:
        """*url* without its user and password, which are remembered for its host; the variables of *name* override them."""
        if not name and url.isascii() and not _SPECIAL.intersection(url):
            self._plain_urls.append(url)
            return url
        from urllib.parse import unquote, urlsplit, urlunsplit  # noqa: PLC0415  3 ms; most URLs have no credentials

        _check_user_info(url)
        try:
            parts = urlsplit(url)
        except ValueError as error:
            # The message of urllib may contain the password.
            raise SettingsError("the index URL is invalid", hint="check index-url") from error
        secret, _, host = parts.netloc.rpartition("@")
        plain = urlunsplit(parts._replace(netloc=host)) if secret else url
        user, colon, password = secret.partition(":")
        user, password = unquote(user), unquote(password)
        if name:
            user = os.environ.get(variable(name, "USERNAME"), user)
            override = os.environ.get(variable(name, "PASSWORD"))
            password, colon = (password, colon) if override is None else (override, ":")
        origin = origin_of(plain)
        self._add_plain_urls()
        self._indexes.setdefault(origin, (name, plain))
        if colon:
            self._known[origin] = _basic(user, password)
        elif user:
            self._users[origin] = user
            self._known.pop(origin, None)
        return plain

    def _add_plain_urls(self) -> None:
        """Parse the URLs without credentials, which is only needed to look them up."""
        for url in self._plain_urls:
            self._indexes.setdefault(origin_of(url), ("", url))
        self._plain_urls.clear()

    def headers(self, url: str) -> dict[str, str]:
        """The Authorization header for *url*, if its host has credentials."""
        if not self._known and not self._users and not self._machines():
            return {}
        origin = origin_of(url)
        with self._lock:
            known = self._known.get(origin)
            if known is None:
                known = self._known[origin] = self._look_up(origin)
        return {"Authorization": known} if known else {}

    def redirect_headers(self, url: str) -> dict[str, str]:
        """The Authorization header for *url*, which another host redirected to: only netrc's own entry for that host."""
        login, password = self._machines().get(origin_of(url)[1], ("", ""))
        if not password:
            return {}
        with self._lock:
            self._known.setdefault(origin_of(url), _basic(login, password))
        return {"Authorization": _basic(login, password)}

    def advice(self, url: str) -> str:
        """How to set the credentials for the server of *url*, which requires them or has rejected them."""
        self._add_plain_urls()
        origin = origin_of(url)
        name, _ = self._indexes.get(origin, ("", ""))
        options = [f"netrc (machine {origin[1]})"]
        if name:
            options.append(f"{variable(name, 'USERNAME')} and {variable(name, 'PASSWORD')}")
        else:
            options.append("user and password in MINGLIBC_INDEX_URL")
        state = "it rejected those that were sent" if self._known.get(origin) else "none are set"
        return f"{state}; set them in {', or in '.join(options)}{self.problem and f'; {self.problem}'}"

    def _look_up(self, origin: Origin) -> str:
        user = self._users.get(origin)
        login, password = self._machines().get(origin[1], ("", ""))
        if password and user in {None, login}:
            return _basic(login, password)
        if user is None:
            return ""
        return _basic(user, self._from_keyring(origin, user))

    def _machines(self) -> dict[str, tuple[str, str]]:
        """The entries of netrc by host, without ``default``, which would be sent to any host."""
        if self._netrc is None:
            self._netrc = self._read_netrc()
        return self._netrc

    def _read_netrc(self) -> dict[str, tuple[str, str]]:
        path = os.environ.get("NETRC") or os.path.join(os.path.expanduser("~"), ".netrc")
        # Without a home directory, "~" would be a folder of the current one.
        if path.startswith("~") or not os.path.isfile(path):
            if os.environ.get("NETRC"):
                reason = "is not a regular file" if os.path.exists(path) else "does not exist"
                self.problem = f"NETRC names {path}, which {reason}"
            return {}
        import netrc  # noqa: PLC0415  few users have one

        try:
            hosts = netrc.netrc(path).hosts
        except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
            # The message of the parser may contain a password.
            line = getattr(error, "lineno", None)
            self.problem = f"{path} is invalid{f' (line {line})' if line else ''} and was ignored"
            return {}
        return {host.lower(): (login, password) for host, (login, _, password) in hosts.items() if host != "default"}

    def _from_keyring(self, origin: Origin, user: str) -> str:
        """The password from the ``keyring`` command, for the index URL or its host; empty where there is none."""
        provider = os.environ.get(KEYRING) or "disabled"
        if provider not in _KEYRING_CHOICES:
            raise SettingsError(f"{KEYRING} is {provider!r}", hint=f"expected one of {', '.join(_KEYRING_CHOICES)}")
        if provider == "disabled":
            return ""
        import subprocess  # noqa: PLC0415  few users have one

        self._add_plain_urls()
        _, url = self._indexes.get(origin, ("", ""))
        for service in dict.fromkeys((url, origin[1])):
            try:
                ran = subprocess.run(
                    ["keyring", "get", service, user],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=_KEYRING_TIMEOUT,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", "") or type(error).__name__
                self.problem = f"the keyring command failed ({reason})"
                return ""
            if ran.returncode == 0 and ran.stdout.strip("\r\n"):
                return ran.stdout.strip("\r\n")
        # The error of a keyring without a backend is the last line of a traceback.
        message = printable(ran.stderr.strip().rpartition("\n")[2])[:_MAX_MESSAGE]
        self.problem = f"keyring has no password for {user}{f' ({message})' if message else ''}"
        return ""


def variable(name: str, what: str) -> str:
    """The environment variable that holds *what* of the index *name*."""
    return f"MINGLIBC_INDEX_{''.join(c if c.isalnum() else '_' for c in name).upper()}_{what}"


def _basic(user: str, password: str) -> str:
    from base64 import b64encode  # noqa: PLC0415  few indexes require any

    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _check_user_info(url: str) -> None:
    """Raise SettingsError where "@" follows the first "/", "?" or "#": they may be parts of a password, which is not quoted."""
    rest = url.partition("://")[2]
    if "@" in rest.replace("?", "/").replace("#", "/").partition("/")[2]:
        raise SettingsError(
            "the index URL is invalid",
            hint="write / as %2F, ? as %3F, # as %23 and @ as %40 in a user name or password, and @ as %40 in a path",
        )


def without_credentials(url: str) -> str:
    """*url* without user and password."""
    return Credentials().take(url)


def origin_of(url: str) -> Origin:
    """The origin of *url*; empty where it is invalid."""
    from urllib.parse import urlsplit  # noqa: PLC0415  3 ms; most URLs have no credentials

    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", "", 0
