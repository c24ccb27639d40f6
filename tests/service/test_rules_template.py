from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules_template import TemplateFault, check, expanded

LABELS = {"instance": "a:9100", "job": "node"}


@pytest.mark.parametrize(
    ("text", "value", "worked"),
    [
        ("plain", 1, "plain"),
        ("{{ $labels.instance }} of {{$labels.job}}", 1, "a:9100 of node"),
        ("{{ .Labels.instance }} {{ $labels.none }}.", 1, "a:9100 ."),
        ("VALUE = {{ $value }}", 93.5, "VALUE = 93.5"),
        ("{{ .Value }}", 1e6, "1000000"),
        ("{{ $value }}", 1e-7, "1e-07"),
        ("{{ $value }}", float("inf"), "+Inf"),
        ('{{ $value | printf "%.2f" }}%', 93.123, "93.12%"),
        ('{{ printf "%.1f and %s" $value $labels.job }}', 2.25, "2.2 and node"),
        ("{{ $value | humanize }}", 1234567, "1.235M"),
        ("{{ humanize 0.00123 }}", 0, "1.23m"),
        ("{{ $value | humanize1024 }}", 1048576, "1Mi"),
        ("{{ $value | humanizePercentage }}", 0.1234, "12.34%"),
        ("{{ $value | humanizeDuration }}", 93784, "1d 2h 3m 4s"),
        ("{{ $value | humanizeDuration }}", 0.1, "100ms"),
        ("{{ $value | humanizeTimestamp }}", 1435065584.128, "2015-06-23 13:19:44 +0000 UTC"),
        ("{{ $labels.job | toUpper }}", 0, "NODE"),
        ('{{ index $labels "job" }}', 0, "node"),
        ("{{ $labels.instance | stripPort }}", 0, "a"),
        ("LABELS = {{ $labels }}", 0, "LABELS = map[instance:a:9100 job:node]"),
        ("a {{- $value -}} b", 1, "a1b"),
        ("{{ if $value }}x{{ end }}", 1, "{{ if $value }}x{{ end }}"),
        ("{{ nothing $value }}", 1, "{{ nothing $value }}"),
        ("{{ $value | nothing | humanize }}", 1, "{{ $value | nothing | humanize }}"),
        ("{{ ( $value | humanize ) }}", 1500, "1.5k"),
    ],
)
def test_texts_are_worked_out_as_prometheus_does(text: str, value: float, worked: str) -> None:
    assert expanded(text, LABELS, float(value)) == worked


def test_braces_must_be_closed() -> None:
    with pytest.raises(TemplateFault, match="close it"):
        check("{{ $value")


@given(st.text('{}$ .|()"%valuelbprintf0129-', max_size=60), st.floats())
def test_no_text_makes_an_error(text: str, value: float) -> None:
    assert isinstance(expanded(text, LABELS, value), str)
