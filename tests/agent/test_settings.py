from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from agent.settings import Settings, host_and_port


def test_no_key_is_needed() -> None:
    settings = Settings()
    assert (settings.interval_seconds, settings.listen, settings.engine) == (5.0, "127.0.0.1:9640", None)


@pytest.mark.parametrize(
    "text",
    [
        '{"intervall_seconds": 5}', '{"interval_seconds": 0.5}', '{"interval_seconds": 61}',
        '{"interval_seconds": "5"}',
        '{"listen": "9640"}', '{"listen": "127.0.0.1:http"}', '{"listen": "127.0.0.1:70000"}', '{"server": "ftp://x"}',
        '{"listen_token": "short"}', '{"logs": {"folow": true}}', '{"registries": {"references": "a"}}',
    ],
)  # fmt: skip
def test_what_is_unknown_or_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate_json(text)


@pytest.mark.parametrize(
    ("address", "expected"), [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9640", ("::1", 9640)), ("h:1", ("h", 1))]
)
def test_an_address_is_a_host_and_a_port(address: str, expected: tuple[str, int]) -> None:
    assert host_and_port(address) == expected


def test_every_key_says_what_it_is() -> None:
    def undescribed(model: type[BaseModel]) -> list[str]:
        found = [name for name, field in model.model_fields.items() if not nested(field.annotation)]
        return [name for name in found if not model.model_fields[name].description]

    def nested(annotation: object) -> bool:
        return isinstance(annotation, type) and issubclass(annotation, BaseModel)

    sections = [field.annotation for field in Settings.model_fields.values() if nested(field.annotation)]
    assert [undescribed(model) for model in (Settings, *sections)] == [[]] * (len(sections) + 1)  # type: ignore[arg-type]
