"""Objectives to a file of Prometheus rules, with what is left out told in the file itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import yaml

from slo.burn import DEFAULT, Policy
from slo.model import Objective
from slo.prometheus.alerting import Alerting, alerts
from slo.prometheus.model import Exported, Group, LeftOut, Rule
from slo.prometheus.rules import left_out, recorded
from slo.prometheus.words import window

PLAIN = Alerting()
Fields = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Writes lists indented and texts of several lines as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are indented below their key."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """What stands twice is written twice."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def exported(
    objectives: Iterable[Objective],
    policy: Policy = DEFAULT,
    how: Alerting = PLAIN,
    promql: Callable[[str], str | None] | None = None,
) -> Exported:
    """The rules of objectives, in their order; a member of a composite must be among them to be part of it.

    With `promql`, which says why a text is no query, an objective whose rules are none is left out.
    """
    every = list(objectives)
    named = {(it.service, it.slo): it for it in every}
    groups: list[Group] = []
    missing: list[LeftOut] = []
    for it in every:
        members = {name: named[it.service, name] for name, _ in it.members if (it.service, name) in named}
        why = left_out(it) or _blind(it, members)
        rules: list[Group] = []
        if all(one.what != "everything" for one in why):
            rules = [*recorded(it, policy, members), *alerts(it, policy, members, how)]
        if promql is not None and (said := next(filter(None, map(promql, _expressions(rules))), None)):
            rules, why = [], [LeftOut(it.slo, it.service, "everything", f"its rules are no PromQL: {said}")]
        groups += rules
        missing += why
    return Exported(tuple(_apart(groups)), tuple(missing))


def _blind(objective: Objective, members: dict[str, Objective]) -> list[LeftOut]:
    """A composite one of whose members has no rules has none itself."""
    for name, _ in objective.members:
        if name not in members or members[name].unmeasurable is not None:
            why = f"its member {name} has no rules"
            return [LeftOut(objective.slo, objective.service, "everything", why)]
    return []


def _expressions(groups: Iterable[Group]) -> Iterator[str]:
    return (rule.expr for group in groups for rule in group.rules)


def _apart(groups: Sequence[Group]) -> Iterable[Group]:
    """No two groups of one name, which Prometheus refuses."""
    seen: Counter[str] = Counter()
    for it in groups:
        seen[it.name] += 1
        yield it if seen[it.name] == 1 else it._replace(name=f"{it.name} ({seen[it.name]})")


def written(groups: Sequence[Fields], left_out: Sequence[str]) -> str:
    """The rule file, which begins with what is left out."""
    head = ["# Written by `midwatch slo export --format prometheus`."]
    head += [f"# {' '.join(one.split())}" for one in left_out]
    body = yaml.dump({"groups": list(groups)}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    return "\n".join([*head, body])


def fields_of(it: Group) -> Fields:
    """A group as a rule file has it."""
    return {"name": it.name, "interval": window(it.every_ms), "rules": [_rule(one) for one in it.rules]}


def _rule(it: Rule) -> Fields:
    found: Fields = {"alert" if it.alert else "record": it.name, "expr": it.expr}
    if it.after_ms:
        found["for"] = window(it.after_ms)
    if it.labels:
        found["labels"] = dict(it.labels)
    if it.annotations:
        found["annotations"] = dict(it.annotations)
    return found
