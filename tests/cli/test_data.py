"""`midwatch backup`, `export` and `sql` on a running service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from cli.data import Found, Limits, Span, ask_sql, copy, lines, mentioned, run_child, write_parquet
from cli.errors import Refusal
from service.app import create_app
from service.main import running, system_clock
from service.model import LogBatch, LogRow
from service.parts import Parts
from service.settings import Settings
from service.store import Store
from slo.model import Selector
from tests.service.stores import Point, batch, series
from tests.support.ports import free_port
from tests.support.serving import serving

LIMITS = Limits(20.0, 256, 100)
TOKEN = "a-token-of-tests-0123"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(listen=f"127.0.0.1:{free_port()}", token=TOKEN)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Iterator[Parts]:
    with running(settings, tmp_path_factory.mktemp("service"), system_clock) as found:
        now = system_clock()
        heat = series("heat", node="n1")
        found.store.append(batch([Point(heat, now - 1000 * at, at / 2, None, "gauge") for at in range(1, 301)], 1))
        requests = series("requests_total", service="api")
        found.store.append(batch([Point(requests, now - 10_000, 5.0, now - 60_000)], 2))
        line = LogRow(now - 5_000, "n1", "u1", "api", None, None, "stdout", "hello", "info")
        found.records.append_logs(LogBatch(None, (), (line,)))
        with serving(create_app(found), settings.listen):
            yield found


def test_a_backup_is_a_database_that_opens_with_all_samples(settings: Settings, parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "x" / "copy.duckdb"
    assert copy(settings, path) == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600
    store = Store(path, parts.clock)
    assert (
        store.select((), 0, parts.clock(), 999).ts_ms.tolist()
        == parts.store.select((), 0, parts.clock(), 999).ts_ms.tolist()
    )
    assert not store.append(batch([], 1)), "streams are known"
    assert store.instant(Selector("requests_total"), parts.clock())
    store.close()
    assert not list(parts.store.database.path.parent.glob("copy-*")), "nothing is left behind"
    with pytest.raises(Refusal, match="there already"):
        copy(settings, path)


def test_an_export_has_a_file_for_each_table(settings: Settings, parts: Parts, tmp_path: Path) -> None:
    span = Span(parts.clock() - 3_600_000, parts.clock())
    rows = {path.stem: n for path, n in write_parquet(settings, tmp_path, span)}
    assert (rows["samples"], rows["series"], rows["logs"], rows["spans"]) == (301, 2, 1, 0)
    samples = pq.read_table(tmp_path / "samples.parquet").to_pydict()
    assert sum(samples["value"]) == 5.0 + sum(at / 2 for at in range(1, 301))
    assert pq.read_table(tmp_path / "series.parquet").column("metric").to_pylist() == ["heat", "requests_total"]
    assert not list(tmp_path.glob("*.part"))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_sql_asks_of_samples_with_their_labels(settings: Settings, parts: Parts) -> None:
    span = Span(parts.clock() - 3_600_000, parts.clock())
    query = (
        "SELECT metric, labels['node'] AS node, count(*) AS n, max(value) AS top FROM metrics GROUP BY ALL ORDER BY 1"
    )
    found = ask_sql(settings, query, span, LIMITS)
    assert found == Found(
        ["metric", "node", "n", "top"], [["heat", "n1", 300, 150.0], ["requests_total", None, 1, 5.0]], False
    )
    assert ask_sql(settings, "SELECT body FROM logs", span, LIMITS).rows == [["hello"]]
    assert list(lines(found, json=False))[1] == "heat\tn1\t300\t150.0"
    assert json.loads(next(lines(found, json=True))) == {"metric": "heat", "node": "n1", "n": 300, "top": 150.0}
    few = ask_sql(settings, "SELECT * FROM samples", span, LIMITS._replace(rows=7))
    assert (len(few.rows), few.more) == (7, True)


def test_columns_of_one_name_are_all_in_the_json() -> None:
    found = Found(["a", "a_1", "a", "a", "b"], [[1, 2, 3, 4, 5]], False)
    assert json.loads(next(lines(found, json=True))) == {"a": 1, "a_1": 2, "a_2": 3, "a_3": 4, "b": 5}
    assert next(lines(found, json=False)) == "a\ta_1\ta\ta\tb"


def test_without_the_token_nothing_is_told(settings: Settings, parts: Parts, tmp_path: Path) -> None:
    other = settings.model_copy(update={"token": None})
    with pytest.raises(Refusal, match="refused POST /api/backup"):
        copy(other, tmp_path / "x.duckdb")
    with pytest.raises(Refusal, match="refused GET /api/arrow/logs"):
        ask_sql(other, "SELECT * FROM logs", Span(0, 1), LIMITS)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with pa.ipc.new_stream(str(tmp_path / "logs.arrow"), pa.schema([("body", pa.string())])) as writer:
        writer.write_batch(pa.record_batch({"body": ["a", "b"]}))
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('{folder}/secret.txt')", "SELECT * FROM '{folder}/logs.arrow'",
        "SELECT * FROM read_csv('{folder}/secret.txt')", "COPY logs TO '{folder}/out.csv'",
        "ATTACH '{folder}/x.duckdb'",
        "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true", "SET memory_limit = '9GB'",
        "CREATE TABLE t(x INTEGER)", "SELECT 1; SELECT 2", "PRAGMA database_list", "EXPORT DATABASE '{folder}/out'",
        "SELECT * FROM glob('{folder}/*')", "SELEC", "",
    ],
)  # fmt: skip
def test_a_query_reaches_nothing_but_its_tables(query: str, folder: Path) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(Refusal):
        run_child(query.replace("{folder}", str(folder)), folder, LIMITS)
    assert sorted(folder.iterdir()) == before


def test_a_query_that_takes_too_long_or_too_much_memory_is_ended_and_says_so(folder: Path) -> None:
    endless = "SELECT sum(sin(range)) FROM range(100000000000)"
    with pytest.raises(Refusal, match="longer than"):
        run_child(endless, folder, LIMITS._replace(seconds=0.3))
    greedy = "SELECT list(repeat('x', 10000) || range) FROM range(1000000)"
    with pytest.raises(Refusal, match="memory"):
        run_child(greedy, folder, LIMITS._replace(memory_mb=64))
    assert run_child("SELECT count(*) FROM logs", folder, LIMITS).rows == [[2]]


def test_only_tables_that_a_query_names_are_fetched() -> None:
    assert mentioned("select * from Logs join events using (node)") == ["events", "logs"]
    assert mentioned("SELECT 1") == []
    assert mentioned("SELECT * FROM metrics") == ["series", "samples"]


def test_a_time_range_must_have_its_begin_before_its_end() -> None:
    assert Span.of("-1h", "now", 10_000.0) == Span(6_400_000, 10_000_000)
    with pytest.raises(typer.BadParameter, match="--from"):
        Span.of("now", "-1h", 10_000.0)
