"""Users and passwords of indexes: each goes to the host that it was given for, and into nothing that is kept or said."""

import os
from _thread import allocate_lock  # threading's own; a lock that uses no network does not import that

from minglibc.errors import SettingsError
from minglibc.model.artifacts import printable

KEYRING = "MINGLIBC_KEYRING_PROVIDER"
_KEYRING_CHOICES = ("disabled", "subprocess")
_KEYRING_PATIENCE = 30.0
_LONGEST = 200
_DEFAULT_PORTS = {"http": 80, "https": 443}

# What makes an address more than a bare one: credentials, and brackets, which urllib may refuse.
_TELLING = frozenset("@[]")

# Scheme, host and port: what a browser calls an origin.
Origin = tuple[str, str, int]


class Credentials:
    """What each host is told: from the URLs and variables it was made with, else from netrc, else from keyring."""

    def __init__(self) -> None:
        self.trouble = ""
        self._indexes: dict[Origin, tuple[str, str]] = {}
        self._users: dict[Origin, str] = {}
        self._known: dict[Origin, str] = {}
        self._netrc: dict[str, tuple[str, str]] | None = None
        self._bare: list[str] = []
        # Worker threads ask for headers.
        self._lock = allocate_lock()

    def take(self, url: str, *, name: str = "") -> str:
        """*url* without its user and password, which are remembered for its host; the variables of *name* win over them."""
        if not name and url.isascii() and not _TELLING.intersection(url):
            self._bare.append(url)
            return url
        from urllib.parse import unquote, urlsplit, urlunsplit  # noqa: PLC0415  3 ms, where most addresses are bare

        try:
            parts = urlsplit(url)
        except ValueError as error:
            # What urllib says of it may hold the password.
            raise SettingsError("the index's address can't be read", hint="check index-url") from error
        secret, _, host = parts.netloc.rpartition("@")
        plain = urlunsplit(parts._replace(netloc=host)) if secret else url
        user, colon, password = secret.partition(":")
        user, password = unquote(user), unquote(password)
        if name:
            user = os.environ.get(variable(name, "USERNAME"), user)
            given = os.environ.get(variable(name, "PASSWORD"))
            password, colon = (password, colon) if given is None else (given, ":")
        origin = _origin(plain)
        self._name_bare()
        self._indexes.setdefault(origin, (name, plain))
        if colon:
            self._known[origin] = _basic(user, password)
        elif user:
            self._users[origin] = user
            self._known.pop(origin, None)
        return plain

    def _name_bare(self) -> None:
        """Addresses that tell nothing are told apart when somebody asks."""
        for url in self._bare:
            self._indexes.setdefault(_origin(url), ("", url))
        self._bare.clear()

    def headers(self, url: str) -> dict[str, str]:
        """The Authorization header for *url*, where its host has one."""
        if not self._known and not self._users and not self._machines():
            return {}
        origin = _origin(url)
        with self._lock:
            known = self._known.get(origin)
            if known is None:
                known = self._known[origin] = self._look_up(origin)
        return {"Authorization": known} if known else {}

    def advice(self, url: str) -> str:
        """What to do about the server of *url*, which wants credentials, or better ones."""
        self._name_bare()
        origin = _origin(url)
        name, _ = self._indexes.get(origin, ("", ""))
        ways = [f"netrc (machine {origin[1]})"]
        if name:
            ways.append(f"{variable(name, 'USERNAME')} and {variable(name, 'PASSWORD')}")
        else:
            ways.append("user and password in MINGLIBC_INDEX_URL")
        told = "it refuses those that it was given" if self._known.get(origin) else "it was given none"
        return f"{told}; give them by {', or by '.join(ways)}{self.trouble and f'; {self.trouble}'}"

    def _look_up(self, origin: Origin) -> str:
        user = self._users.get(origin)
        login, password = self._machines().get(origin[1], ("", ""))
        if password and user in {None, login}:
            return _basic(login, password)
        if user is None:
            return ""
        return _basic(user, self._from_keyring(origin, user))

    def _machines(self) -> dict[str, tuple[str, str]]:
        """The entries of netrc by host. Its ``default`` is left out: it would go to any host at all."""
        if self._netrc is None:
            self._netrc = self._read_netrc()
        return self._netrc

    def _read_netrc(self) -> dict[str, tuple[str, str]]:
        path = os.environ.get("NETRC") or os.path.join(os.path.expanduser("~"), ".netrc")
        if not os.path.isfile(path):
            if os.environ.get("NETRC"):
                self.trouble = f"NETRC names {path}, which is not there"
            return {}
        import netrc  # noqa: PLC0415  few have one

        try:
            hosts = netrc.netrc(path).hosts
        except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
            # The parser's own words may quote a password.
            line = getattr(error, "lineno", None)
            self.trouble = f"{path} can't be read{f' (line {line})' if line else ''} and was passed over"
            return {}
        return {host.lower(): (login, password) for host, (login, _, password) in hosts.items() if host != "default"}

    def _from_keyring(self, origin: Origin, user: str) -> str:
        """The password by the ``keyring`` command, under the index's address or its host; empty where there is none."""
        provider = os.environ.get(KEYRING) or "disabled"
        if provider not in _KEYRING_CHOICES:
            raise SettingsError(f"{KEYRING} is {provider!r}", hint=f"choose from {', '.join(_KEYRING_CHOICES)}")
        if provider == "disabled":
            return ""
        import subprocess  # noqa: PLC0415  few have one

        self._name_bare()
        _, url = self._indexes.get(origin, ("", ""))
        for service in dict.fromkeys((url, origin[1])):
            try:
                ran = subprocess.run(
                    ["keyring", "get", service, user],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=_KEYRING_PATIENCE,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", "") or type(error).__name__
                self.trouble = f"the keyring command could not be asked ({why})"
                return ""
            if ran.returncode == 0 and ran.stdout.strip("\r\n"):
                return ran.stdout.strip("\r\n")
        # A keyring without a backend says so in the last line of its traceback.
        said = printable(ran.stderr.strip().rpartition("\n")[2])[:_LONGEST]
        self.trouble = f"keyring has no password of {user}{f' ({said})' if said else ''}"
        return ""


def variable(name: str, what: str) -> str:
    """The environment variable that holds *what* of the index *name*."""
    return f"MINGLIBC_INDEX_{''.join(c if c.isalnum() else '_' for c in name).upper()}_{what}"


def _basic(user: str, password: str) -> str:
    from base64 import b64encode  # noqa: PLC0415  few indexes want any

    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def without_credentials(url: str) -> str:
    """*url* without user and password, as it may be written down."""
    return Credentials().take(url)


def _origin(url: str) -> Origin:
    from urllib.parse import urlsplit  # noqa: PLC0415  as above

    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", "", 0
