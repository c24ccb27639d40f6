"""The service, asked over HTTP by the commands of this machine."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from cli.config import address
from cli.errors import Answered, Refusal
from service.settings import Settings

ANSWER_SECONDS = 10.0
UNKNOWN = ("unmeasured", "learning")
"""States of an objective in which nobody can tell what is left."""
POLL_SECONDS = 0.25


def ready(settings: Settings) -> bool:
    """True where the service answers that it is ready."""
    try:
        url = f"{address(settings)}/readyz"
        return httpx.get(url, timeout=2.0, trust_env=False, verify=trust(settings)).status_code == 200
    except httpx.HTTPError:
        return False


def ask(
    settings: Settings,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    form: Mapping[str, str] | None = None,
    wait_seconds: float = ANSWER_SECONDS,
) -> Any:
    """The JSON of an answer; refuses where the service does not answer, and as Answered where it says no."""
    headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    try:
        answer = httpx.request(
            method,
            f"{address(settings)}{path}",
            json=body,
            data=form,
            headers=headers,
            timeout=wait_seconds,
            trust_env=False,
            verify=trust(settings),
        )
    except httpx.HTTPError as error:
        raise Refusal(f"no service answers at {address(settings)}", "start it with `midwatch up`") from error
    if answer.is_error:
        raise Answered(f"the service refused {method} {path}: {_why(answer)}", _told(answer))
    return answer.json() if answer.content else None


def trust(settings: Settings) -> ssl.SSLContext | bool:
    """Whom the commands of this machine trust: the certificate that the service is told to show.

    They ask it by its address on this machine, which the certificate needs not name. Where senders must show a
    certificate, its own is shown: that works where the same authority signed it.
    """
    shown = settings.tls
    if shown.certificate is None or shown.key is None:
        return True
    try:
        found = ssl.create_default_context(cafile=shown.certificate)
        found.check_hostname = False
        found.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if shown.client_ca is not None:
            found.load_cert_chain(shown.certificate, shown.key)
    except OSError as fault:
        raise Refusal(f"{shown.certificate} can't be used: {fault.strerror}", "correct service.tls") from fault
    return found


@contextmanager
def stream(settings: Settings, method: str, path: str, wait_seconds: float) -> Iterator[Iterator[bytes]]:
    """The bytes of an answer as they come; refuses where the service does not answer, says no, or breaks off."""
    headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    timeout = httpx.Timeout(ANSWER_SECONDS, read=wait_seconds)
    try:
        url, checked = f"{address(settings)}{path}", trust(settings)
        with httpx.stream(method, url, headers=headers, timeout=timeout, trust_env=False, verify=checked) as answer:
            if answer.is_error:
                answer.read()
                where = path.partition("?")[0]
                raise Refusal(f"the service refused {method} {where}: {_why(answer)}", "correct the request")
            yield answer.iter_bytes()
    except httpx.HTTPError as error:
        said = str(error) or type(error).__name__
        raise Refusal(f"{address(settings)}: {said}", "is the service running? see its log") from error


def budgets(settings: Settings) -> dict[str, float]:
    """The smallest budget left of each service's objectives that are measured; empty where no service answers."""
    try:
        judgements = ask(settings, "GET", "/api/judgements")
    except Refusal:
        return {}
    found: dict[str, float] = {}
    for one in judgements["judgements"]:
        left = one["budget_remaining"]
        if left is not None and one["state"] not in UNKNOWN:
            found[one["service"]] = min(found.get(one["service"], left), left)
    return found


def wait_live(settings: Settings, services: Sequence[str], seconds: float) -> None:
    """Wait until the objectives of all these services are measured; refuses after the time."""
    _wait(lambda: _live(settings, services), seconds)


def _live(settings: Settings, services: Sequence[str]) -> bool:
    judgements = ask(settings, "GET", "/api/judgements")["judgements"]
    measured = {one["service"] for one in judgements if one["sli"] is not None}
    return bool(measured) and set(services) <= measured


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Refusal(f"the dashboards hold no live data after {seconds:g} s", "see the logs under the data folder")
        time.sleep(POLL_SECONDS)


def _why(answer: httpx.Response) -> str:
    told = _told(answer)
    return str(told.get("error") or told.get("detail") or f"status {answer.status_code}")


def _told(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {"error": found}
