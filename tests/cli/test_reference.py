"""The page of all settings is what the settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.config import SECTIONS
from cli.reference import rows, text


@pytest.mark.source
def test_the_page_in_docs_is_the_one_that_the_settings_make() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text() == text(), "run: python -m cli.reference > docs/configuration.md"


def test_every_key_has_a_sentence() -> None:
    assert [key for name, model in SECTIONS.items() for key, _, help_ in rows(model, name) if not help_] == []
