"""Who may see the page and who may take part: hosts, origins and the token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Sent with every answer: the page may fetch nothing from elsewhere, and nobody may show it inside their own."""
TOKEN = "X-Steadygan-Token"
"""The header that carries the token: one that a page from elsewhere cannot send."""


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(18)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Gate:
    """The rules of one server.

    Args:
        host: what the server is bound to.
        token: what a person has to know to take part; None: nobody may.
    """

    def __init__(self, host: str, token: str | None) -> None:
        self._host, self._token = host.lower(), token
        self._names = {"localhost", self._host}
        if not is_loopback(host):
            self._names.add(socket.gethostname().lower())

    @property
    def open(self) -> bool:
        """Whether anybody may take part."""
        return self._token is not None

    def knows(self, host: str | None) -> bool:
        """Whether the name by which the page was asked for is this machine's.

        A name that somebody else can point here would let their page read this one. A bare address cannot be pointed.
        """
        name = _hostname(host or "")
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback(self._host)

    def is_own(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from this page, or from no page at all."""
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
        if site is not None and site not in ("same-origin", "none"):
            return False
        return origin is None or origin.partition("://")[2] == headers.get("Host")

    def admits(self, token: str | None) -> bool:
        """Whether the token is the right one."""
        return self._token is not None and hmac.compare_digest((token or "").encode(), self._token.encode())


def _hostname(host: str) -> str:
    """The name in a Host header, without its port: ``[::1]:80`` is ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
