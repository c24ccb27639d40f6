"""DataSources: one that is a Prometheus elsewhere can't be asked, and how any is reached is never shown."""

from __future__ import annotations

import pytest

from slo.openslo.export import export
from slo.openslo.model import DataSource
from slo.openslo.resolve import load
from slo.openslo.sources import elsewhere, shown
from tests.slo.openslo.support import with_line

SOURCE = """\
apiVersion: openslo/v1
kind: DataSource
metadata: {name: metrics}
spec:
  type: %s
  connectionDetails: %s
"""


def source(details: str, kind: str = "Prometheus") -> DataSource:
    found = load([("d.yaml", SOURCE % (kind, details))]).documents[0]
    assert isinstance(found, DataSource)
    return found


@pytest.mark.parametrize(
    ("details", "host"),
    [
        ("{url: 'http://prometheus.example.com'}", "prometheus.example.com"),
        ("[{url: 'https://me:secret@prometheus.example.com:9090/x?token=y'}]", "prometheus.example.com"),
        ("{server: {base_url: 'prometheus:9090'}}", "prometheus"),
        ("{url: 'http://127.0.0.1:8640'}", None),
        ("{url: 'http://[::1]:8640'}", None),
        ("{url: 'http://watch.example:8640/'}", None),
        ("{org: mine}", None),
        ("{url: 'http://[broken'}", None),
    ],
)
def test_a_prometheus_elsewhere_is_told_by_its_host_alone(details: str, host: str | None) -> None:
    assert elsewhere(source(details), ["https://watch.example"]) == host
    assert elsewhere(source(details, "Datadog")) is None


@pytest.mark.parametrize(("own", "level"), [(["http://127.0.0.1:8640"], "error"), (None, "warning")])
@pytest.mark.parametrize("typed", [True, False])
def test_an_indicator_of_a_prometheus_elsewhere_is_refused_by_the_service(
    own: list[str] | None, level: str, typed: bool
) -> None:
    ref = "            metricSourceRef: metrics\n"
    slo = with_line("        total:\n          metricSource:\n", "        total:\n          metricSource:\n" + ref)
    if not typed:
        slo = slo.replace(ref + "            type: Prometheus\n", ref)
    texts = [("a.yaml", slo), ("d.yaml", SOURCE % ("Prometheus", "{url: 'http://u:hidden@there:9090'}"))]
    found = load(texts, own=own)
    (told,) = found.findings
    assert (told.level, told.at.file, told.at.path) == (
        level, "a.yaml", "spec.indicator.spec.ratioMetric.total.metricSource.metricSourceRef",
    )  # fmt: skip
    assert told.what == "metrics is at there, and queries are asked of the samples that are here"
    assert "hidden" not in str(told)
    assert len(found.slos) == (level == "warning")


def test_how_a_source_is_reached_is_not_shown() -> None:
    documents = load([("d.yaml", SOURCE % ("Datadog", "{apiKey: hidden}"))]).documents
    assert "hidden" in export(documents)  # of one's own files, at one's own desk
    text = export(shown(documents))
    assert "hidden" not in text
    assert load([("again.yaml", text)]).faults == ()
