"""docs/configuration.md, from the settings themselves: `python -m cli.reference > docs/configuration.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cli.config import SECTIONS

HEAD = """\
# Configuration

None is needed. What is set stands in one file, `midwatch.yaml` (`--config FILE` or `MIDWATCH_CONFIG`), read strictly: an unknown key is an error that names file, line and the nearest known key. `midwatch check midwatch.yaml` shows all faults at once.

A variable stands over the file: `MIDWATCH_SERVICE_LISTEN=127.0.0.1:9000` sets `service.listen`, and two underscores go one level deeper (`MIDWATCH_AGENT_LOGS__FOLLOW=false`). `MIDWATCH_DATA` is the folder that holds all state, `/var/lib/midwatch` by default.

```yaml
service:
  receivers:
    - name: pager
      url: https://pager.example/hook
agent:
  interval_seconds: 2
```

The agent ships to the service of the same file, with its token, unless `agent.server` and `agent.token` say otherwise.
"""  # noqa: E501 - one paragraph, one line

SECTION_TITLES = {
    "service": "What the service is told.",
    "agent": "What the agent of a node is told.",
    "demo": "What the demo shop is told.",
}


def text() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, model in SECTIONS.items():
        parts.append(f"\n## {name}\n\n{SECTION_TITLES[name]}\n\n| key | default | |\n|---|---|---|\n")
        parts.extend(f"| `{key}` | {default} | {help_} |\n" for key, default, help_ in rows(model, name))
    return "".join(parts)


def rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Every key with its default and its sentence; `[]` stands for each item of a list."""
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}"
        nested = _nested(field.annotation)
        if nested is None:
            yield key, _default(field), field.description or ""
        elif _is_list(field.annotation):
            yield key, "none", field.description or ""
            yield from rows(nested, f"{key}[]")
        else:
            yield from rows(nested, key)


def _nested(annotation: Any) -> type[BaseModel] | None:
    options = (annotation, *get_args(annotation))
    return next((it for it in options if isinstance(it, type) and issubclass(it, BaseModel)), None)


def _is_list(annotation: Any) -> bool:
    return bool(get_args(annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else value}`"


if __name__ == "__main__":
    print(text(), end="")
