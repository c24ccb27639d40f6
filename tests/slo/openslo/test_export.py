"""What is written is what was read."""

from __future__ import annotations

from fractions import Fraction

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slo.openslo.export import export
from slo.openslo.model import Slo
from tests.slo.openslo.support import GOOD, one, with_line
from tests.slo.openslo.test_alpha import OLD
from tests.slo.openslo.test_plans import OWN_SLO
from tests.slo.openslo.test_read import CALENDAR, POLICY, THRESHOLD
from tests.support.prometheus import peer_file


def _again(text: str) -> str:
    """What is written of a text, which must be read strictly as the same documents."""
    first = one(text)
    assert first.faults == ()
    written = export(first.documents)
    second = one(written, strict=True)
    assert second.faults == ()
    return written


@pytest.mark.parametrize(
    "text",
    [GOOD, OLD, OWN_SLO, POLICY, f"{THRESHOLD}      op: lt\n      value: 2\n", with_line("isRolling: true", CALENDAR)],
)  # fmt: skip
def test_what_is_written_reads_as_the_same_and_is_written_the_same(text: str) -> None:
    written = _again(text)
    assert one(written).documents == one(text).documents
    assert export(one(written).documents) == written


def test_the_peers_files_are_written_as_strict_documents() -> None:
    for path in peer_file("openslo").glob("*.yaml"):
        before, after = one(path.read_text()), one(_again(path.read_text()), strict=True)
        assert len(after.documents) == len(before.documents)
        assert [it.meta for it in after.documents] == [it.meta for it in before.documents]


def test_operators_beside_ratios_are_left_out_and_percents_become_shares() -> None:
    written = _again(with_line("- target: 0.999", "- targetPercent: 99.950\n      op: gt"))
    assert yaml.safe_load(written)["spec"]["objectives"] == [{"target": 0.9995}]


def test_fields_come_in_one_order() -> None:
    text = (
        "spec: {description: 'yes'}\nmetadata: {labels: {b: x, a: [y, z]}, name: a}\n"
        "kind: Service\napiVersion: openslo/v1\n"
    )
    assert export(one(text).documents) == (
        "apiVersion: openslo/v1\nkind: Service\n"
        "metadata:\n  name: a\n  labels:\n    b: x\n    a:\n      - y\n      - z\n"
        "spec:\n  description: 'yes'\n"
    )


def test_what_stood_in_quotes_stays_text_and_what_did_not_keeps_its_digits() -> None:
    text = (
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: a}\n"
        "spec: {type: X, connectionDetails: {a: '1', b: 1.10, c: null, d: 0x1F, e: [yes, 'no'], f: 'x\n\n  y'}}\n"
    )
    written = export(one(text).documents)
    for line in ("a: '1'", "b: 1.10", "c: null", "d: 0x1F", "- yes", "- 'no'"):
        assert line in written
    assert one(written).documents == one(text).documents


def test_a_query_of_several_lines_is_written_as_a_block() -> None:
    query = "query: |\n                sum(\n                  x\n                )\n"
    written = _again(with_line("query: http_requests_total\n", query))
    block = written[written.index("query: |\n") :].splitlines()[:4]
    assert [line.strip() for line in block] == ["query: |", "sum(", "x", ")"]


@given(st.integers(0, 10**18), st.integers(0, 18))
def test_targets_keep_every_digit(digits: int, places: int) -> None:
    value = Fraction(digits % 10**places, 10**places) if places else Fraction(0)
    text = f"0.{digits % 10**places:0{places}d}" if places else "0"
    (written,) = one(_again(with_line("target: 0.999", f"target: {text}"))).documents
    assert isinstance(written, Slo)
    assert written.objectives[0].target == value


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60))
def test_any_text_comes_back(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    before = one(with_line("service: shop", f"service: shop\n  description: {quoted}"))
    assert one(export(before.documents)).documents == before.documents


@pytest.mark.parametrize("text", ["12e5", "1e-3", "0x1f", "0o17", "007", "1.5", "-4", ".5e1", "12e5a", "a1e5"])
def test_a_text_that_readers_of_yaml_1_2_take_for_a_number_is_quoted(text: str) -> None:
    documents = one(with_line("  service: shop", f"  description: '{text}'\n  service: shop")).documents
    written = export(documents)
    shown = text if "a" in text else f"'{text}'"
    assert f"  description: {shown}\n" in written
    assert one(written).documents == documents
