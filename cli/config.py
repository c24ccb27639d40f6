"""`midwatch.yaml`: read strictly, every fault at once with file, line and key; variables MIDWATCH_… over it.

`MIDWATCH_SERVICE_LISTEN=…` sets `service.listen`; two underscores go one level deeper.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from agent.settings import Settings as AgentSettings
from cli.errors import ConfigFault
from runtime.compose_yaml import MAX_BYTES, Node, Scalar, YamlFault, parse
from runtime.compose_yaml import Mapping as YamlMapping
from runtime.compose_yaml import Sequence as YamlSequence
from runtime.regular import read_regular
from service.settings import Settings as ServiceSettings
from service.settings import host_and_port
from service.words import words

DEFAULT_DATA = Path("/var/lib/midwatch")
ENVIRONMENT_PREFIX = "MIDWATCH_"

Path_ = tuple[str | int, ...]


class DemoSettings(BaseModel):
    """The demo shop's name and its two ports on 127.0.0.1."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    project: str = Field("shop", pattern="^[a-z0-9][a-z0-9_-]{0,40}$", description="Name of the shop's project.")
    registry_port: int = Field(8641, ge=1, le=65535, description="Port of the demo's registry on 127.0.0.1.")
    shop_port: int = Field(8642, ge=1, le=65535, description="Port of the shop's front on 127.0.0.1.")


SECTIONS: Mapping[str, type[BaseModel]] = {"service": ServiceSettings, "agent": AgentSettings, "demo": DemoSettings}


class Config(NamedTuple):
    """The whole configuration, every default filled in."""

    service: ServiceSettings
    agent: AgentSettings
    demo: DemoSettings


class _Source(NamedTuple):
    """Values as they will be validated, and where each path of keys was written."""

    values: dict[str, Any]
    places: dict[Path_, str]
    faults: tuple[str, ...] = ()


def load(path: Path | None, environment: Mapping[str, str]) -> Config:
    """The configuration of a file, if one is named, and the environment; raises ConfigFault with all faults."""
    source = _file(path) if path else _Source({}, {})
    faults = [*source.faults, *_overlay(source, environment)]
    whole = create_model("Whole", __config__=ConfigDict(extra="forbid", strict=True), **_fields())
    try:
        valid = whole.model_validate_json(json.dumps(source.values))
    except ValidationError as error:
        faults += [_fault(source, str(path), one["loc"], one["type"], one.get("ctx", {})) for one in error.errors()]
    if faults:
        raise ConfigFault(tuple(sorted(dict.fromkeys(faults), key=_line)))
    return _joined(_placed(Config(*(getattr(valid, name) for name in SECTIONS)), path))


def address(settings: ServiceSettings) -> str:
    """Where this machine finds the service."""
    host, port = host_and_port(settings.listen)
    named = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"{settings.scheme}://[{named}]:{port}" if ":" in named else f"{settings.scheme}://{named}:{port}"


def _placed(config: Config, path: Path | None) -> Config:
    """Names of rule files and of OpenSLO files are meant from the folder of the file that names them."""
    if path is None:
        return config
    folder = path.absolute().parent
    named = {"rules": config.service.rules, "slos": config.service.slos}
    update = {name: tuple(str(folder / it) for it in found) for name, found in named.items() if found}
    return config._replace(service=config.service.model_copy(update=update)) if update else config


def _joined(config: Config) -> Config:
    """The agent ships to the service of the same file and trusts it, where it is told nothing else."""
    told = config.agent.model_fields_set
    derived = {"server": address(config.service), "token": config.service.token}
    update: dict[str, object] = {name: value for name, value in derived.items() if name not in told}
    if config.service.tls.certificate is not None and "ca" not in config.agent.tls.model_fields_set:
        own = {"ca": str(config.service.tls.certificate)} if "server" not in told else {}
        update["tls"] = config.agent.tls.model_copy(update=own)
    return config._replace(agent=config.agent.model_copy(update=update))


def _fields() -> dict[str, Any]:
    return {name: (model, Field(default_factory=model)) for name, model in SECTIONS.items()}


def _file(path: Path) -> _Source:
    broken: list[YamlFault] = []
    try:
        root = parse(read_regular(path, MAX_BYTES).decode(), broken)
    except OSError as error:
        raise ConfigFault((f"{path}: can't be read: {error.strerror}; correct the path or its permissions",)) from error
    except UnicodeDecodeError as error:
        raise ConfigFault((f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8",)) from error
    except YamlFault as error:
        raise ConfigFault((f"{path}:{error.line}: {error}",)) from error
    places: dict[Path_, str] = {}
    values = _plain(root, (), str(path), places)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigFault((f"{path}:1: not a mapping; begin with one of {', '.join(SECTIONS)}:",))
    return _Source(values, places, tuple(f"{path}:{it.line}: {it}" for it in broken))


def _plain(node: Node, at: Path_, file: str, places: dict[Path_, str]) -> Any:
    places.setdefault(at, f"{file}:{node.line}")
    match node:
        case YamlMapping():
            for key, line in node.lines.items():
                places[(*at, key)] = f"{file}:{line}"
            found = {key: _plain(value, (*at, key), file, places) for key, value in node.entries.items()}
            return {key: value for key, value in found.items() if value is not None}
        case YamlSequence():
            return [_plain(item, (*at, index), file, places) for index, item in enumerate(node.items)]
        case Scalar():
            return node.text if node.quoted else scalar(node.text)


def scalar(text: str) -> Any:
    """What an unquoted value means: null, true, false, a number of JSON's form, else its text."""
    if text in ("", "~"):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float)) or value is None else text


def _overlay(source: _Source, environment: Mapping[str, str]) -> list[str]:
    faults: list[str] = []
    for name, text in sorted(environment.items()):
        section = next((it for it in SECTIONS if name.startswith(f"{ENVIRONMENT_PREFIX}{it.upper()}_")), None)
        if section is None:
            continue
        keys = (section, *name.removeprefix(f"{ENVIRONMENT_PREFIX}{section.upper()}_").lower().split("__"))
        source.places[keys] = f"environment {name}"
        if not _put(source.values, keys, _typed(keys, text)):
            faults.append(f"environment {name}: {'.'.join(keys[:-1])} is not a mapping; correct the file or unset it")
    return faults


def _typed(keys: Sequence[str], text: str) -> Any:
    model = _model_at(keys[:-1])
    field = model.model_fields.get(keys[-1]) if model else None
    return text if field is not None and str in (field.annotation, *get_args(field.annotation)) else scalar(text)


def _put(values: dict[str, Any], keys: Sequence[str], value: Any) -> bool:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            return False
    values[keys[-1]] = value
    return True


def _fault(source: _Source, file: str, loc: Path_, kind: str, context: Mapping[str, Any]) -> str:
    known = next((loc[:end] for end in range(len(loc), -1, -1) if loc[:end] in source.places), ())
    place = source.places.get(known, file)
    key = ".".join(map(str, loc))
    if kind == "extra_forbidden":
        return f"{place}: {key}: unknown key; {_nearest(loc)}"
    return f"{place}: {key}: {words(kind, context)}"


def _line(fault: str) -> int:
    found = re.match(r".*?:(\d+): ", fault)
    return int(found[1]) if found else 0


def _nearest(loc: Path_) -> str:
    model = _model_at(tuple(map(str, loc[:-1])))
    known = list(model.model_fields) if model else list(SECTIONS)
    close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _model_at(keys: Sequence[str]) -> type[BaseModel] | None:
    if not keys or keys[0] not in SECTIONS:
        return None
    model: type[BaseModel] | None = SECTIONS[keys[0]]
    for key in keys[1:]:
        if key.isdigit():
            continue  # an item of a list: the field's annotation named its model already
        field = model.model_fields.get(key) if model else None
        model = _nested(field.annotation) if field else None
    return model


def _nested(annotation: Any) -> type[BaseModel] | None:
    options = (annotation, *get_args(annotation))
    return next((it for it in options if isinstance(it, type) and issubclass(it, BaseModel)), None)
