"""The proxies that environment variables name; httpx decides which one is for which host."""

import os
import ssl
from collections.abc import Callable
from urllib.request import getproxies

import httpx

from minglibc.errors import SettingsError

_SCHEMES = ("http", "https", "all")


def proxied_client(ssl_context: Callable[[str], ssl.SSLContext], limits: httpx.Limits) -> httpx.Client | None:
    """A client that uses the proxies, None where there are none; raises SettingsError, naming an unusable variable."""
    proxies = getproxies()
    if not proxies:
        return None
    for scheme in _SCHEMES:
        if proxies.get(scheme):
            _check(scheme, proxies[scheme])
    try:
        return httpx.Client(verify=ssl_context("https"), limits=limits)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        # The proxies themselves are valid: what is left is the list of hosts without one.
        variable = _variable("no")
        raise SettingsError(
            f"{variable} is invalid", hint="expected host names and IP addresses, separated by commas"
        ) from error


def _check(scheme: str, value: str) -> None:
    """Raise SettingsError if the proxy for *scheme* is unusable; its URL may contain a password and is not quoted."""
    variable = _variable(scheme)
    url = value if "://" in value else f"http://{value}"
    try:
        proxy = httpx.Proxy(url)
        if not proxy.url.host or (proxy.url.port or 0) > 65_535:
            raise ValueError("no host, or an invalid port")  # noqa: TRY301
        proxy.url.host.encode("idna")  # as its name will be looked up: no part of it is empty or too long
        httpx.HTTPTransport(proxy=proxy, verify=False).close()
    except ImportError as error:
        raise SettingsError(
            f"{variable} names a SOCKS proxy, which requires the package socksio",
            hint="install httpx[socks] next to minglibc, or name an HTTP proxy",
        ) from error
    except (ValueError, httpx.InvalidURL) as error:
        raise SettingsError(
            f"{variable} is not the URL of a proxy", hint="expected http://, https:// or socks5://, a host and a port"
        ) from error


def _variable(scheme: str) -> str:
    """The environment variable that sets the proxy for *scheme*; as in urllib, lower case has priority."""
    name = f"{scheme}_proxy"
    names = [variable for variable in os.environ if variable.lower() == name and os.environ[variable]]
    return max(names, key=str.islower, default=name.upper())
