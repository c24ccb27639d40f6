"""The image store's size, by the engine's own notes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from runtime.engine import Engine
from runtime.image_store import ImageStore, image_store
from tests.support.own_engine import own_engine


def noted(data: Path, **sizes: str) -> Path:
    for name, size in sizes.items():
        folder = data / "image/overlay2/layerdb/sha256" / name
        folder.mkdir(parents=True)
        (folder / "size").write_text(size)
    return data


def test_each_layer_counts_once_and_one_that_is_going_not_at_all(tmp_path: Path) -> None:
    noted(tmp_path, a="10", b="32", garbled="x", negative="")
    (tmp_path / "image/overlay2/layerdb/sha256/going").mkdir()
    assert image_store(tmp_path, 1.0) == ImageStore(2, 42)


def test_an_empty_store_has_no_bytes_and_one_that_is_elsewhere_no_size(tmp_path: Path) -> None:
    assert image_store(tmp_path, 1.0) is None
    (tmp_path / "image/overlay2/layerdb/sha256").mkdir(parents=True)
    assert image_store(tmp_path, 1.0) == ImageStore(0, 0)


def test_where_the_time_does_not_suffice_there_is_no_size(tmp_path: Path) -> None:
    noted(tmp_path, **{f"l{n}": "1" for n in range(300)})
    now = iter([0.0, 2.0])
    assert image_store(tmp_path, 1.0, lambda: next(now)) is None


@pytest.mark.engine
def test_a_real_engines_store_is_as_large_as_it_says_itself() -> None:
    with own_engine(tiny=True) as engine:
        asked = Engine(engine.url)
        found = image_store(Path(asked.info().root), 5.0)
        asked.close()
        with closing(engine.client) as client:
            assert found is not None
            assert found.used_bytes == client.df()["LayersSize"] > 0
