# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""HTTP requests that keep secrets and respect proxies.

Rules that hold for every request and every redirect on its way: the token goes to one origin only, and never
unencrypted over a network; plain http needs permission unless it stays on this machine, to which no server elsewhere
can send us; the proxies of the environment are used except for this machine itself and a neighbour; what is printed
of an address never contains its query, where signatures are.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request

from ..base.addresses import shown
from ..base.errors import LlamaCppError
from ..base.loopback import is_loopback
from ..base.strict_json import told
from .connections import Connection, SecureConnection
from .deadline import TooSlow
from .header_values import retry_after

USER_AGENT = "macos_setup.llm"
URL_CHARACTERS = "%:/?#[]@!$&'()*+,;=~"  # what a URL may hold beside letters, digits and "-._"
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 10
UNSENDABLE = "the request cannot be sent; see the proxies that the environment names (http_proxy, https_proxy)"
#: The last row is that of a proxy which does not reach the server behind it (Cloudflare).
TRANSIENT_STATUS = (
    *(408, 425, 429, 500, 502, 503, 504),
    *(520, 521, 522, 523, 524, 527, 530),
)
REFUSED_STATUS = (401, 403)
ADVICE = {
    401: "Its owner may ask you to accept a licence on its page and to show a token (HF_TOKEN), or it does not exist.",
    403: "Its owner may ask you to accept a licence on its page and to show a token (HF_TOKEN).",
    404: "Compare the address with the one on its page; capital and small letters differ.",
}
TOKEN_ADVICE = {
    401: "The token that was sent (HF_TOKEN) was refused: it may have expired. Renew it, or remove it.",
    403: "The token that was sent (HF_TOKEN) was refused: its account may have to accept a licence on the page first.",
}

#: draft-ietf-httpapi-ratelimit-headers and its older form: requests that are left, and seconds until there are more.
_RATE_LIMIT_LEFT = re.compile(r"\br=[1-9]")
_RATE_LIMIT_RESET = re.compile(r"\b(?:t|reset)=([0-9]{1,19})\b")


class WebError(LlamaCppError):
    """A request failed; ``transient`` says whether trying again may help."""

    transient = False
    retry_after = None  # seconds the server asked to wait


class HttpStatus(WebError):
    """The server answered, but not with what was asked for."""

    def __init__(self, url, status, headers, with_token=False):
        named = ("%d %s" % (status, http.client.responses.get(status, ""))).rstrip()
        text = "%s answered HTTP %s for %s." % (host_of(url), named, shown(url))
        said = headers.get("X-Error-Message")  # Hugging Face's own words
        advice = (TOKEN_ADVICE if with_token else ADVICE).get(status)
        super().__init__(" ".join(filter(None, [text, said and 'It says "%s".' % told(said), advice])))
        self.status = status
        self.transient = status in TRANSIENT_STATUS
        self.retry_after = _asked_wait(headers)


class AddressRefused(WebError):
    """An address, given or redirected to, that must not be used."""


class ConnectionBroken(WebError):
    """No answer, or not a whole one: a matter of names, network, TLS or protocol."""

    def __init__(self, url, cause):
        cause = cause.reason if isinstance(cause, urllib.error.URLError) else cause
        super().__init__("%s: %s" % (host_of(url), cause if isinstance(cause, str) else _in_words(cause)))
        self.transient = not isinstance(cause, ssl.SSLCertVerificationError)


class Web:
    """Opens URLs under the rules above.

    :param token: sent as a bearer token to ``token_origin`` (a URL), and nowhere else.
    :param timeout: seconds without a single byte after which a connection is given up.
    :param neighbour: base URL of a machine of the same owner: asked directly and, since the caller proves what it
        sends, over plain http too.
    :ivar refusal: the HttpStatus with which the token was refused, or None. It is not sent again: what is public is
        there without one.
    """

    def __init__(self, token=None, token_origin=None, allow_plain_http=False, timeout=30.0, neighbour=None):
        self._token, self.refusal = token, None
        self._token_origin = _origin(token_origin) if token_origin else None
        self._allow_plain_http = allow_plain_http
        self._neighbour = _origin(neighbour) if neighbour else None
        self._timeout = timeout
        self._opener = urllib.request.OpenerDirector()  # bare: it neither follows redirects nor raises for a status
        for handler in (_Proxies(self._is_near), _Handler(), _SecureHandler()):
            self._opener.add_handler(handler)

    def open(self, url, headers=None, method="GET", leave_origin=True):
        """The 2xx response to a request; with ``leave_origin`` false also a redirect that leads to another host.

        Raises HttpStatus, ConnectionBroken or AddressRefused, all of them WebError.
        """
        for _ in range(MAX_REDIRECTS):
            url = self.accepted(url)
            with_token = self._may_be_shown_the_token(url)
            response = self._open_once(url, headers or {}, method, with_token)
            if response.status in REDIRECTS:
                target = self._accepted_from(url, response)
                if not leave_origin and _origin(target) != _origin(url):
                    return response
                response.close()
                url = target
            elif 200 <= response.status < 300:
                return response
            else:
                response.close()
                failure = HttpStatus(url, response.status, response.headers, with_token)
                if failure.status not in REFUSED_STATUS:
                    raise failure
                if not with_token:
                    raise self.refusal or failure
                self._token, self.refusal = None, failure
        raise ConnectionBroken(url, "it redirects in circles")

    def _accepted_from(self, url, response):
        try:
            location = response.headers.get("Location") or ""
            # http.client reads every byte as one letter: what is no ASCII goes back as the bytes that came.
            location = urllib.parse.quote(location, safe=URL_CHARACTERS, encoding="latin-1")
            target = self.accepted(urllib.parse.urljoin(url, location))
            if self._is_near(target) and not self._is_near(url):
                raise AddressRefused("it is on this machine, or on a neighbour, and the server is not.")
            return target
        except (AddressRefused, ValueError) as error:
            response.close()
            raise AddressRefused("%s redirects to what must not be used: %s" % (host_of(url), error)) from error

    def _may_be_shown_the_token(self, url):
        encrypted = url.startswith("https:") or is_loopback(_host(url))
        return bool(self._token) and _origin(url) == self._token_origin and encrypted

    def _open_once(self, url, headers, method, with_token):
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT, **headers}
        if with_token:
            headers["Authorization"] = "Bearer " + self._token
        try:
            return self._opener.open(urllib.request.Request(url, headers=headers, method=method), timeout=self._timeout)
        except (OSError, http.client.HTTPException, UnicodeError) as error:  # the last for impossible host names
            raise ConnectionBroken(url, error) from error
        except ValueError:  # its text repeats what it is about: a header, or a proxy with its password
            raise WebError("%s: %s" % (host_of(url), UNSENDABLE)) from None

    def accepted(self, url):
        """The address in the form that is sent; raises AddressRefused."""
        url = urllib.parse.quote(url, safe=URL_CHARACTERS)
        try:
            parts = urllib.parse.urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is no number, a bracket that is not closed
            raise AddressRefused("An address is not usable: its host or port cannot be read.") from None
        if not usable:
            raise AddressRefused("'%s' is not an address that begins with https:// and names a host." % shown(url))
        if parts.username or parts.password:
            raise AddressRefused(
                "The address of %s holds a user name or password. Addresses are printed and stored, "
                "so nothing secret may be in them." % parts.hostname
            )
        if parts.scheme == "http" and not self._allow_plain_http and not self._is_near(url):
            raise AddressRefused(
                "'%s' is plain http: anyone on the way could change what arrives. Use https, or set "
                "policy.allow_plain_http to true for a network that you trust." % shown(url)
            )
        return url

    def _is_near(self, url):
        return is_loopback(_host(url)) or _origin(url) == self._neighbour


class _Proxies(urllib.request.ProxyHandler):
    """The proxies of the environment; what ``is_near(url)`` is never asked for through one."""

    def __init__(self, is_near):
        super().__init__()
        self._is_near = is_near

    def proxy_open(self, req, proxy, type):
        return None if self._is_near(req.full_url) else super().proxy_open(req, proxy, type)


class _Handler(urllib.request.HTTPHandler):
    def do_open(self, http_class, req, **options):
        return super().do_open(Connection, req, **options)


class _SecureHandler(urllib.request.HTTPSHandler):
    def do_open(self, http_class, req, **options):
        return super().do_open(SecureConnection, req, **options)


def host_of(url):
    return _host(url) or "the server"


def _host(url):
    return urllib.parse.urlsplit(url).hostname or ""


def _origin(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _asked_wait(headers):
    """Seconds that the server asks to wait; None when it says nothing that can be read."""
    if "Retry-After" in headers:
        return retry_after(headers["Retry-After"])
    limits = (limit for limit in headers.get("RateLimit", "").split(",") if not _RATE_LIMIT_LEFT.search(limit))
    return max((int(seconds) for limit in limits for seconds in _RATE_LIMIT_RESET.findall(limit)), default=None)


def _in_words(cause):
    """A network fault, whatever class the standard library chose for it."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate is not trusted (%s)" % cause.verify_message
    if isinstance(cause, TooSlow):
        return "the head of its answer, or what stands at its end, did not come in time"
    if isinstance(cause, (TimeoutError, socket.timeout)):
        return "no byte came in time"
    if isinstance(cause, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(cause, http.client.HTTPException):
        return "its answer is broken (%s)" % type(cause).__name__
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
