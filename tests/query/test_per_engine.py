"""Values that are computed once per engine, and freed together with the engine."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from idc_widgets.query.per_engine import PerEngine


class Engine(SimpleNamespace):
    """An object in place of an engine. It can be referenced weakly."""

    __hash__ = object.__hash__


def test_a_value_is_computed_once_per_engine() -> None:
    calls: list[Any] = []

    def make(engine: Any) -> dict[str, int]:
        calls.append(engine)
        time.sleep(0.05)
        return {}

    values: PerEngine[Any, dict[str, int]] = PerEngine(make)
    first, second = Engine(), Engine()
    assert values.get(first) is None
    threads = [threading.Thread(target=values.of, args=(first,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert values.of(first) is values.get(first)
    assert values.of(second) is not values.of(first)


def test_an_error_is_not_kept() -> None:
    attempts = iter([ValueError("first"), None])

    def make(_engine: Any) -> str:
        error = next(attempts)
        if error is not None:
            raise error
        return "second"

    values: PerEngine[Any, str] = PerEngine(make)
    engine = Engine()
    with pytest.raises(ValueError, match="first"):
        values.of(engine)
    assert values.of(engine) == "second"


def test_an_engine_is_not_kept_alive() -> None:
    values: PerEngine[Any, list[int]] = PerEngine(lambda _engine: [1])
    engine = Engine()
    reference = weakref.ref(engine)
    assert values.of(engine) == [1]
    del engine
    gc.collect()
    assert reference() is None
