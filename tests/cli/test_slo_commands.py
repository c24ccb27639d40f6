"""OpenSLO files on the command line: checked together, written back normalised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cli.backtest import targets
from cli.check import check
from cli.slo_commands import app
from tests.slo.openslo.support import GOOD, with_line
from tests.slo.openslo.test_alpha import OLD
from tests.slo.openslo.test_resolve import NAMED, SLI

OWN = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: starts}
spec:
  service: shop
  budgetingMethod: Occurrences
  objectives: [{target: 0.9}]
  indicator:
    metadata: {name: starts}
    spec:
      ratioMetric:
        rawType: success
        raw: {metricSource: {type: midwatch, spec: {indicator: cold-start}}}
"""


def _check(capsys: pytest.CaptureFixture[str], *files: Path, strict: bool = False) -> tuple[int, list[str]]:
    code = check(files, {}, strict)
    return code, capsys.readouterr().out.splitlines()


def test_a_good_file_is_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    assert _check(capsys, tmp_path / "a.yaml") == (0, ["1 file, no fault"])


def test_files_that_name_one_another_are_checked_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slo.yaml").write_text(NAMED)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "sli.yml").write_text(SLI)
    assert _check(capsys, tmp_path)[0] == 0
    where, what = f"{tmp_path}/slo.yaml:7: spec.indicatorRef", "no SLI is called good-answers"
    told = [f"{where}: {what}; add it, or the file that holds it", "1 file, 1 fault"]
    assert _check(capsys, tmp_path / "slo.yaml") == (1, told)


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(with_line("0.999", "1").replace("30d", "30s"))
    (tmp_path / "b.yaml").write_text(with_line("name: api", "name: b c"))
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    imgae: nginx\n    image: nginx\n")
    (tmp_path / "c.yaml").write_bytes(b"apiVersion: openslo/v1\n\xff")
    names = ["a.yaml", "b.yaml", "compose.yaml", "c.yaml"]
    code, told = _check(capsys, *(tmp_path / it for it in names))
    assert code == 1
    starts = {line.removeprefix(f"{tmp_path}/").split(" ")[0] for line in told}
    assert starts >= {"a.yaml:24:", "a.yaml:28:", "b.yaml:4:", "compose.yaml:3:"}
    assert any(line.startswith("c.yaml") for line in (it.removeprefix(f"{tmp_path}/") for it in told))


def test_warnings_are_told_and_are_no_faults_unless_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(with_line("target: 0.999", "target: 0.999\n      op: lt"))
    code, told = _check(capsys, tmp_path / "a.yaml")
    assert (code, told[-1]) == (0, "1 file, no fault")
    assert "a.yaml:28: spec.objectives[0].op: warning: says nothing where the metric is a ratio" in told[0]
    assert _check(capsys, tmp_path / "a.yaml", strict=True)[0] == 1


def test_a_row_that_can_not_fire_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(with_line("0.999", "0.1"))
    code, told = _check(capsys, tmp_path / "a.yaml")
    assert code == 0
    assert any("warning: row fast can never fire" in it for it in told)


def test_a_manifest_of_another_kind_is_told_what_is_read_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n")
    assert _check(capsys, tmp_path / "pod.yaml") == (
        1,
        [f"{tmp_path}/pod.yaml:1: apiVersion: 'v1' is not known; write openslo/v1", "1 file, 1 fault"],
    )


def test_a_folder_stands_for_its_files_of_whatever_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: nginx\n")
    (tmp_path / "slo.yml").write_text(GOOD)
    (tmp_path / "readme.txt").write_text("nothing")
    assert _check(capsys, tmp_path) == (0, ["2 files, no fault"])
    (tmp_path / "slo.yml").write_text(with_line("apiVersion:", "apiversion:"))
    code, told = _check(capsys, tmp_path)
    assert code == 1
    assert any("slo.yml:1: apiversion: the field is not known; did you mean apiVersion?" in it for it in told)


def test_json_is_yaml_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text(json.dumps(yaml.safe_load(GOOD)))
    assert _check(capsys, tmp_path / "a.json") == (0, ["1 file, no fault"])


def test_one_target_takes_the_place_of_the_files_and_several_are_tried_beside() -> None:
    assert targets(None) == {}
    assert targets("99.95 %") == {"target_percent": "99.95"}
    assert targets("99.9, 99.95%") == {"targets_percent": ["99.9", "99.95"]}


def test_export_writes_old_documents_as_v1(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "sli.yaml").write_text(SLI)
    ran = CliRunner().invoke(app, ["export", "--format", "openslo", str(tmp_path)])
    assert ran.exit_code == 0
    slo, sli = yaml.safe_load_all(ran.stdout)
    assert (slo["apiVersion"], slo["kind"], sli["kind"]) == ("openslo/v1", "SLO", "SLI")
    assert slo["spec"]["timeWindow"] == [{"duration": "30d", "isRolling": True}]


def test_export_of_a_faulty_file_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(with_line("0.999", "1"))
    ran = CliRunner().invoke(app, ["export", str(tmp_path)])
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "b.yaml:28: spec.objectives[0].target" in ran.stderr
    missing = CliRunner().invoke(app, ["export", str(tmp_path / "none.yaml")])
    assert (missing.exit_code, "is no file" in missing.stderr) == (1, True)


@pytest.mark.source
def test_the_example_is_without_fault_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).resolve().parents[2] / "examples" / "slos"
    code, told = _check(capsys, folder, strict=True)
    assert code == 0
    assert not [it for it in told if "warning" in it]


def test_files_that_a_configuration_names_are_checked_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slos").mkdir()
    (tmp_path / "slos" / "a.yaml").write_text(with_line("0.999", "1"))
    (tmp_path / "midwatch.yaml").write_text("service:\n  slos: [slos, none.yaml]\n")
    code, told = _check(capsys, tmp_path / "midwatch.yaml")
    assert code == 1
    assert {line.removeprefix(f"{tmp_path}/").split(" ")[0] for line in told[:-1]} == {
        "slos/a.yaml:28:",
        "none.yaml:1:",
    }


def test_export_as_rules_tells_what_is_left_out_by_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    ran = CliRunner().invoke(app, ["export", "--format", "prometheus", str(tmp_path)])
    assert (ran.exit_code, ran.stderr) == (0, "")
    names = {rule.get("record") for group in yaml.safe_load(ran.stdout)["groups"] for rule in group["rules"]}
    assert {"midwatch_slo:burn:rate1h", "midwatch_slo:error_budget_remaining:ratio"} <= names
    (tmp_path / "b.yaml").write_text(OWN)
    ran = CliRunner().invoke(app, ["export", "--format", "prometheus", str(tmp_path)])
    assert ran.exit_code == 3
    assert ran.stderr.startswith("shop starts: everything left out: which series a built-in indicator has")
    assert "midwatch_slo:burn:rate1h" in ran.stdout


def test_the_query_of_an_indicator_that_no_slo_names_is_looked_into_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty = SLI.replace("query: ", "query: 1 / / ", 1)
    assert faulty != SLI
    (tmp_path / "sli.yml").write_text(faulty)
    code, told = _check(capsys, tmp_path / "sli.yml")
    assert code == 1
    (tmp_path / "slo.yaml").write_text(NAMED)
    both = _check(capsys, tmp_path)[1]
    assert [it for it in both if "can't be asked" in it] == [it for it in told if "can't be asked" in it]
    assert len([it for it in told if "can't be asked" in it]) == 1


def test_queries_of_a_document_with_other_faults_are_looked_into_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = with_line('http_requests_total{code!~"5.."}', "sum(rate(good[{{.window}}])")
    (tmp_path / "a.yaml").write_text(text.replace("Occurrences", "Occurences"))
    code, told = _check(capsys, tmp_path / "a.yaml")
    assert code == 1
    assert [("can't be asked" in it, "did you mean Occurrences" in it) for it in told[:-1]] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("said", [[], ["a.yaml", "--format", "prometheus", "--builtin"], ["--builtin"]])
def test_export_is_of_files_or_of_the_service(said: list[str]) -> None:
    assert CliRunner().invoke(app, ["export", *said]).exit_code == 2


def test_a_query_that_is_none_is_a_fault_with_its_place_and_what_the_parser_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(with_line('http_requests_total{code!~"5.."}', "sum(rate(good[{{.window}}])"))
    code, told = _check(capsys, tmp_path / "a.yaml")
    where = "a.yaml:17: spec.indicator.spec.ratioMetric.good.metricSource.spec.query"
    said = "can't be asked: invalid query: unclosed left parenthesis; correct it"
    assert (code, told[0].removeprefix(f"{tmp_path}/")) == (1, f"{where}: {said}")
    (tmp_path / "a.yaml").write_text(with_line('http_requests_total{code!~"5.."}', "good[5m]"))
    code, told = _check(capsys, tmp_path / "a.yaml")
    assert code == 1
    assert "it gives a range of samples" in told[0]
