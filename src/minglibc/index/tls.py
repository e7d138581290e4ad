"""TLS as the machine trusts it, and what is wrong with a certificate in words."""

import os
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

from minglibc.errors import IndexUnreachable, SettingsError

CLIENT_CERTIFICATE = "MINGLIBC_CLIENT_CERT"
_PATIENCE = 5.0
# X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_OF_ANOTHER_NAME = frozenset((62, 64))


def context() -> ssl.SSLContext:
    """What https is spoken with, made once: the machine's trust, SSL_CERT_FILE and SSL_CERT_DIR, and a client certificate."""
    return _context(*(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", CLIENT_CERTIFICATE)))


@cache
def _context(*_variables: str | None) -> ssl.SSLContext:
    import truststore  # noqa: PLC0415  plain http needs no certificates

    made: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load_client_certificate(made)
    return made


def _load_client_certificate(context: ssl.SSLContext) -> None:
    path = os.environ.get(CLIENT_CERTIFICATE)
    if not path:
        return
    try:
        # Without a password here, OpenSSL would ask the terminal for one.
        context.load_cert_chain(path, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{CLIENT_CERTIFICATE} names {path}, which can't be used: {_reason(error)}",
            hint="a PEM file with a certificate and its key, without a password, is due",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "it is no such PEM file"
    return getattr(error, "strerror", None) or str(error)


def certificate_error(error: BaseException, url: str) -> IndexUnreachable | None:
    """What to say where *error* came of a certificate, of the server of *url* or of this side; None where it did not."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    parts = urlsplit(url)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _distrusted(cause, parts)
    if cause is not None and _is_about_ours(cause.reason):
        refused = "refuses the one that it was shown" if os.environ.get(CLIENT_CERTIFICATE) else "was shown none"
        return IndexUnreachable(
            f"{parts.scheme}://{parts.hostname}: the server wants a client certificate, and {refused}",
            hint=f"name a PEM file with a certificate and its key by {CLIENT_CERTIFICATE}",
        )
    return None


def _is_about_ours(reason: str | None) -> bool:
    return bool(reason) and "ALERT" in str(reason) and "CERTIFICATE" in str(reason)


def _distrusted(cause: ssl.SSLCertVerificationError, parts: SplitResult) -> IndexUnreachable:
    host = parts.hostname or ""
    certificate = _presented(host, parts.port or 443)
    names = ", ".join(_names(certificate))
    if cause.verify_code in _OF_ANOTHER_NAME:
        whose = f"the certificate is for {names}" if names else "the certificate is for another name"
        return IndexUnreachable(
            f"{parts.scheme}://{host}: {whose}, not for {host}",
            hint="name the index as its certificate does",
        )
    whose = f"the certificate for {names}, issued by {_issuer(certificate)}," if names else "its certificate"
    return IndexUnreachable(
        f"{parts.scheme}://{host}: {whose} is not trusted: {cause.verify_message}", hint=_trust_hint()
    )


def _trust_hint() -> str:
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if path and not os.path.exists(path):
            return f"{variable} names {path}, which is not there"
    return "where the index has a CA of its own, name that CA's file by SSL_CERT_FILE, or have the machine trust it"


def _presented(host: str, port: int) -> Mapping[str, Any]:
    """The certificate that a server shows, whoever signed it; empty where it can't be had."""
    if getproxies():
        return {}
    with suppress(OSError, ValueError):
        leaf = ssl.get_server_certificate((host, port), timeout=_PATIENCE)
        # Only a trusted certificate is decoded, so it is its own anchor here; nothing is sent over this connection.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=leaf)
        with (
            socket.create_connection((host, port), timeout=_PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            return connection.getpeercert() or {}
    return {}


def _names(certificate: Mapping[str, Any]) -> list[str]:
    alternatives = [str(value) for _, value in certificate.get("subjectAltName", ())]
    return alternatives or _fields(certificate, "subject", "commonName")


def _issuer(certificate: Mapping[str, Any]) -> str:
    known = _fields(certificate, "issuer", "commonName") or _fields(certificate, "issuer", "organizationName")
    return known[0] if known else "nobody by name"


def _fields(certificate: Mapping[str, Any], part: str, field: str) -> list[str]:
    return [value for group in certificate.get(part, ()) for name, value in group if name == field]
