"""TLS with the certificates that the machine trusts, and messages for certificate errors."""

import os
import socket
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from time import strftime
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

from minglibc.errors import IndexUnreachable, SettingsError

CLIENT_CERTIFICATE = "MINGLIBC_CLIENT_CERT"
_TIMEOUT = 5.0
# X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_NAME_MISMATCHES = frozenset((62, 64))
# X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_TIME_ERRORS = frozenset((9, 10))


def context() -> ssl.SSLContext:
    """The context for https: the machine's trust store, SSL_CERT_FILE and SSL_CERT_DIR, and a client certificate."""
    return _context(*(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", CLIENT_CERTIFICATE)))


@cache
def _context(*_variables: str | None) -> ssl.SSLContext:
    for name in ("SSL_CERT_FILE", CLIENT_CERTIFICATE):
        _check_regular(name)
    context = _trusting_context()
    _load_client_certificate(context)
    return context


def _trusting_context() -> ssl.SSLContext:
    """A context with the machine's trust store, which on Linux is read once."""
    import truststore  # noqa: PLC0415  plain http needs no certificates

    context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.platform != "linux":
        return context
    # truststore reads all certificates again for each connection (20 to 200 ms), and opens one connection at a time.
    loaded = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost").context
    loaded.sslsocket_class = ssl.SSLSocket
    return loaded


def _check_regular(name: str) -> None:
    """Raise SettingsError if the variable *name* is the path of a FIFO or a device, which OpenSSL would wait for."""
    path = os.environ.get(name)
    if path and os.path.exists(path) and not os.path.isfile(path):
        raise SettingsError(f"{name} names {path}, which is not a regular file", hint="expected a PEM file")


def _load_client_certificate(context: ssl.SSLContext) -> None:
    path = os.environ.get(CLIENT_CERTIFICATE)
    if not path:
        return
    try:
        # Without a password here, OpenSSL would prompt for one.
        context.load_cert_chain(path, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{CLIENT_CERTIFICATE} names {path}, which is unusable: {_reason(error)}",
            hint="expected a PEM file with a certificate and its key, without a password",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "it is not such a PEM file"
    return getattr(error, "strerror", None) or str(error)


def certificate_error(error: BaseException, url: str) -> IndexUnreachable | None:
    """The error where *error* was caused by the certificate of the server of *url* or of the client; else None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    parts = urlsplit(url)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _verification_error(cause, parts)
    if cause is not None and _is_about_client(cause.reason):
        state = "rejected the one that was sent" if os.environ.get(CLIENT_CERTIFICATE) else "none was sent"
        return IndexUnreachable(
            f"{parts.scheme}://{parts.hostname}: the server requires a client certificate, and {state}",
            hint=f"set {CLIENT_CERTIFICATE} to a PEM file with a certificate and its key",
        )
    return None


def _is_about_client(reason: str | None) -> bool:
    return bool(reason) and "ALERT" in str(reason) and "CERTIFICATE" in str(reason)


def _verification_error(cause: ssl.SSLCertVerificationError, parts: SplitResult) -> IndexUnreachable:
    host = parts.hostname or ""
    certificate = _server_certificate(host, parts.port or 443)
    names = ", ".join(_names(certificate))
    if cause.verify_code in _NAME_MISMATCHES:
        subject = f"the certificate is for {names}" if names else "the certificate is for another name"
        return IndexUnreachable(
            f"{parts.scheme}://{host}: {subject}, not for {host}",
            hint="use the host name in the certificate for the index",
        )
    subject = f"the certificate for {names}, issued by {_issuer(certificate)}," if names else "its certificate"
    return IndexUnreachable(
        f"{parts.scheme}://{host}: {subject} is not trusted: {cause.verify_message}",
        hint=_clock_hint() if cause.verify_code in _TIME_ERRORS else _trust_hint(),
    )


def _clock_hint() -> str:
    today = strftime("%Y-%m-%d")
    return f"this machine's date is {today}; if that is right, the certificate has to be replaced"


def _trust_hint() -> str:
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if path and not os.path.exists(path):
            return f"{variable} names {path}, which does not exist"
    return "if the index has its own CA, set SSL_CERT_FILE to the CA's file, or add it to the machine's trust store"


def _server_certificate(host: str, port: int) -> Mapping[str, Any]:
    """The certificate of a server, whether or not it is trusted; empty where it is not available."""
    if getproxies():
        return {}
    with suppress(OSError, ValueError):
        leaf = ssl.get_server_certificate((host, port), timeout=_TIMEOUT)
        # Python only decodes trusted certificates, so it is its own trust anchor here; no data is sent over this connection.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=leaf)
        with (
            socket.create_connection((host, port), timeout=_TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            return connection.getpeercert() or {}
    return {}


def _names(certificate: Mapping[str, Any]) -> list[str]:
    alternatives = [str(value) for _, value in certificate.get("subjectAltName", ())]
    return alternatives or _fields(certificate, "subject", "commonName")


def _issuer(certificate: Mapping[str, Any]) -> str:
    names = _fields(certificate, "issuer", "commonName") or _fields(certificate, "issuer", "organizationName")
    return names[0] if names else "an unnamed issuer"


def _fields(certificate: Mapping[str, Any], part: str, field: str) -> list[str]:
    return [value for group in certificate.get(part, ()) for name, value in group if name == field]
