"""Changes in several threads: the last value that an observer gets is the current one."""

from __future__ import annotations

import threading
from typing import Any

from traitlets import HasTraits, Int

from idc_widgets.widgets.user_observers import Teller


class Owner(HasTraits):
    """An object with one trait. The function `change` tells observers, in place of traitlets."""

    value = Int()


def change(owner: Owner, teller: Teller, value: int) -> None:
    old = owner.value
    owner._trait_values["value"] = value  # without traitlets' own notification
    teller.add(owner, "value", old, value)
    assert teller.tell() is None


def test_the_last_value_that_an_observer_gets_is_the_current_one() -> None:
    owner, teller = Owner(), Teller()
    begun, overtaken = threading.Event(), threading.Event()
    values: list[int] = []

    def slow(event: Any) -> None:
        if event["new"] == 1 and not overtaken.is_set():
            begun.set()
            assert overtaken.wait(30)

    owner.observe(slow, "value")
    owner.observe(lambda event: values.append(event["new"]), "value")
    older = threading.Thread(target=change, args=(owner, teller, 1))
    older.start()
    assert begun.wait(30)
    change(owner, teller, 2)  # while the older change is being reported
    overtaken.set()
    older.join(30)
    assert values == [2, 1, 2]
