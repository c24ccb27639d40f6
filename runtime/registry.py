"""How long a registry takes to answer for a manifest, and for a small blob, phase by phase.

One request for a manifest, as a pull begins with: name, connection, TLS, token where the registry asks for one, and
the manifest itself; then a small blob of the image, as a pull goes on with.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable

from runtime.credentials import Credentials
from runtime.model import KnownBlob, PullOutcome, RateLimit, RegistryTiming
from runtime.registry_blob import fetch, learn
from runtime.registry_http import Answer, Line, Refused, Stopwatch, Target, is_loopback
from runtime.registry_limits import pause_seconds, rate_limit
from runtime.registry_token import authorization

__all__ = ["is_loopback", "time_manifest"]

DEFAULT_TIMEOUT_SECONDS = 10.0
MAX_MESSAGE_CHARS = 300

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_FAULTS = (Refused, OSError, http.client.HTTPException, ValueError)


class _Look:
    """One look at a registry; what it saw is kept, also where it failed."""

    def __init__(self, repository: str, credentials: Credentials | None, watch: Stopwatch) -> None:
        self.repository, self.credentials, self.watch = repository, credentials, watch
        self.headers = {"Accept": _ACCEPT}
        self.digest = ""
        self.limit: RateLimit | None = None
        self.pause: float | None = None
        self.known: KnownBlob | None = None

    def manifest(self, line: Line, tag: str) -> None:
        """Asks for the head of a manifest, with what the registry asks for."""
        path = f"/v2/{self.repository}/manifests/{tag}"
        answer = line.ask("manifest", "HEAD", path, self.headers)
        if answer.status == 401:
            told = authorization(answer, self.repository, self.credentials, line.target, self.watch)
            self.headers["Authorization"] = told
            answer = line.ask("manifest", "HEAD", path, self.headers)
        self.note(answer)
        if answer.status != 200:
            raise Refused(answer.said, answer)
        self.digest = answer.headers.get("docker-content-digest", "")[:200]

    def blob(self, line: Line, tag: str, known: KnownBlob | None) -> None:
        """Fetches the small blob of the image, timed as `blob` where it worked."""
        line.watch = self.watch.quiet()
        if known is None or known.manifest != self.digest:
            known = self._learnt(line, tag)
        self.known = known
        if known.blob is None:
            return
        began = self.watch.monotonic()
        fetch(line, self.repository, known.blob, self.headers)
        self.watch.phases["blob"] = self.watch.monotonic() - began

    def _learnt(self, line: Line, tag: str) -> KnownBlob:
        try:
            return learn(line, self.repository, tag, self.digest, self.headers)
        except Refused as refused:
            # To fetch a manifest may count as a pull: what can't be read of this one is not asked for again.
            if refused.answer is None or 400 <= refused.answer.status < 429:
                self.known = KnownBlob(self.digest, None)
            raise

    def note(self, answer: Answer) -> None:
        """Keeps what an answer says of the registry's limits."""
        self.limit = rate_limit(answer.headers) or self.limit
        self.pause = pause_seconds(answer.status, answer.headers) or self.pause

    def note_refusal(self, failure: Exception | None) -> None:
        """The same of an answer that was a refusal."""
        if isinstance(failure, Refused) and failure.answer is not None:
            self.note(failure.answer)


def time_manifest(
    registry: str,
    repository: str,
    tag: str,
    *,
    now_ms: int,
    credentials: Credentials | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    tls: ssl.SSLContext | None = None,
    plain: bool = False,
    known: KnownBlob | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> RegistryTiming:
    """One timed request for a manifest; a failure is a timing that is not ok, with the phases that were reached.

    Phases: `dns`, `connect`, `tls`, `token`, `manifest`, `blob`. Plain HTTP is spoken with loopback addresses, as
    Docker does, and where `plain` says so. `tls` replaces the system's trust. `known` is what an earlier look
    answered: while the tag means the same manifest only its head is asked for.
    """
    watch = Stopwatch(monotonic, timeout_seconds)
    usable = credentials if credentials is not None and (credentials.password or credentials.identity_token) else None
    look = _Look(repository, usable, watch)
    began, line = monotonic(), None
    failure: Exception | None = None
    blob_failure: Exception | None = None
    try:
        line = Line(Target.of(registry, tls, plain=plain), watch)
        look.manifest(line, tag)
    except _FAULTS as error:
        failure = error
    total = monotonic() - began
    if failure is None and line is not None:
        blob_failure = _blob(look, line, tag, known)
    if line is not None:
        line.close()
    look.note_refusal(failure or blob_failure)
    return RegistryTiming(
        registry, now_ms, failure is None, total, watch.phases, _said(failure), outcome_of(failure or blob_failure),
        _said(blob_failure), look.known or known, look.limit, look.pause,
    )  # fmt: skip


def _blob(look: _Look, line: Line, tag: str, known: KnownBlob | None) -> Exception | None:
    """Why the blob could not be fetched; None where it was, or there is none."""
    try:
        look.blob(line, tag, known)
    except _FAULTS as error:
        return error
    return None


def _said(error: Exception | None) -> str | None:
    return None if error is None else " ".join((str(error) or type(error).__name__).split())[:MAX_MESSAGE_CHARS]


def outcome_of(failure: Exception | None) -> PullOutcome:
    """The class of a look's failure, in the words that pulls have for theirs."""
    match failure:
        case None:
            return "ok"
        case Refused(answer=Answer(status=401 | 403)):
            return "unauthorized"
        case Refused(answer=Answer(status=404)):
            return "not_found"
        case Refused(answer=Answer(status=429)):
            return "rate_limited"
        case Refused(answer=None):
            return "unauthorized" if str(failure).startswith("token: ") else "corrupt"
        case socket.gaierror():
            return "dns"
        case ssl.SSLError():
            return "tls"
        case TimeoutError():
            return "timeout"
        case ValueError() if not isinstance(failure, OSError):
            return "bad_reference"
    return "unreachable"
