"""OTLP in JSON to the protocol's messages.

OTLP's JSON is protobuf's canonical one but for trace and span ids, which are hexadecimal; unknown keys are left out.
"""

from __future__ import annotations

import base64
import json
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

_Request = TypeVar("_Request", bound=Message)
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
_MOST_DEPTH = 40


class JsonFault(ValueError):
    """The body is no JSON of the protocol; the message says what is wrong."""


def from_json(kind: type[_Request], body: bytes) -> _Request:
    """The message that a JSON body holds; raises JsonFault."""
    try:
        tree = json.loads(body)
        if not isinstance(tree, dict):
            raise JsonFault("it is no object")
        _ids_as_base64(tree)
        return json_format.ParseDict(tree, kind(), ignore_unknown_fields=True, max_recursion_depth=_MOST_DEPTH)
    except JsonFault:
        raise
    # the parser of the messages raises any of these for values of the wrong type
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, json_format.Error) as fault:
        raise JsonFault(" ".join(str(fault).split())[:200]) from fault
    except RecursionError:
        raise JsonFault("it is nested too deeply") from None


def to_json(message: Message) -> bytes:
    """A message as the protocol's JSON: integers of 64 bits as texts, enumerations as numbers."""
    tree = json_format.MessageToDict(message, use_integers_for_enums=True)
    return json.dumps(tree, ensure_ascii=False).encode()


def _ids_as_base64(tree: object) -> None:
    """Hexadecimal ids become base64, as protobuf's parser reads bytes; in place, without recursion."""
    waiting = [tree]
    while waiting:
        match waiting.pop():
            case dict() as found:
                for key, value in found.items():
                    if key in _IDS and isinstance(value, str):
                        found[key] = _base64(key, value)
                    elif isinstance(value, dict | list):
                        waiting.append(value)
            case list() as items:
                waiting.extend(item for item in items if isinstance(item, dict | list))


def _base64(key: str, value: str) -> str:
    try:
        return base64.b64encode(bytes.fromhex(value)).decode()
    except ValueError:
        raise JsonFault(f"{key} is not hexadecimal: {value[:40]!r}") from None
