"""Settings of the service: safe by default, every limit can be set, secrets stay out of sight."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from alerts.thresholds import Thresholds
from service.settings import ReceiverSettings, Settings


def test_no_configuration_is_needed_and_gives_the_default_limits() -> None:
    assert Settings().thresholds() == Thresholds()


def test_limits_are_given_in_seconds_and_shares_and_compared_exactly() -> None:
    given = Settings.model_validate({"alerts": {"oom_storm_window_seconds": 90.5, "mass_restarts_ratio": 0.1}})
    assert given.thresholds().oom_storm_window_ms == 90_500
    assert given.thresholds().mass_restarts_ratio == Fraction(1, 10)


@pytest.mark.parametrize("listen", ["0.0.0.0:8640", "[::]:8640", "192.0.2.1:1", "midwatch.example:80"])
def test_listening_beyond_this_machine_needs_a_token(listen: str) -> None:
    with pytest.raises(ValidationError, match=r"needs a token: set service\.token"):
        Settings.model_validate({"listen": listen})
    assert Settings.model_validate({"listen": listen, "token": "0123456789abcdef"}).listen == listen


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "localhost:8640", "[::1]:8640", "127.9.9.9:80"])
def test_loopback_needs_none(listen: str) -> None:
    assert Settings.model_validate({"listen": listen}).token is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"listen": "8640"}, "write HOST:PORT"),
        ({"listen": "127.0.0.1:99999"}, "write HOST:PORT"),
        ({"lisen": "127.0.0.1:1"}, "Extra inputs"),
        ({"receivers": [{"name": "a", "url": "ftp://x"}]}, "is no address of http or https"),
        ({"receivers": [{"name": "a", "url": "http://x", "secret": "short"}]}, "secret"),
        ({"receivers": [{"name": "a", "url": "http://x"}, {"name": "a", "url": "http://y"}]}, "one name"),
        ({"receivers": [{"name": "a b", "url": "http://x"}]}, "pattern"),
        ({"alerts": {"hold_seconds": 0}}, "greater than 0"),
        ({"alerts": {"oom_storm_service_kills": 0}}, "greater than or equal to 1"),
        ({"evaluate_seconds": 0}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(given)


def test_secrets_are_not_shown() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    receiver = ReceiverSettings.model_validate({"name": "a", "url": "http://user:pass@x/", "secret": secret})
    shown = repr(Settings.model_validate({"token": "0123456789abcdef", "receivers": [receiver]}))
    assert "MfKQ" not in shown
    assert "0123456789abcdef" not in shown
    assert "pass" not in shown
