"""The attributes that a widget shows to Tab and `help`: its own, and a few of ipywidgets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from traitlets import TraitType

from .._util import PublicNames

__all__ = ["PublicWidgetNames"]

#: What users need of the hundred attributes that ipywidgets and traitlets add.
_INHERITED = ("add_class", "layout", "observe", "remove_class", "unobserve")

#: What ipywidgets and traitlets store in each widget.
_OF_IPYWIDGETS = ("comm", "cross_validation_lock", "keys")


class PublicWidgetNames(PublicNames):
    """A mixin: `dir` lists the attributes that our classes add, and `_INHERITED`.

    `help` shows the help text of traits.
    """

    _not_listed = frozenset(
        (
            *("details_callbacks", "send", "send_state", "show_note", "show_stale"),
            *("static_fact", "static_table"),
        )
    )

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for kind in cls.__mro__:
            if _is_ours(kind):
                for member in vars(kind).values():
                    if isinstance(member, TraitType):
                        member.__doc__ = member.help  # as traitlets 5.8 and later do

    def _all_names(self) -> Iterable[str]:
        own = {name for kind in type(self).__mro__ if _is_ours(kind) for name in vars(kind)}
        own.update(name for name in vars(self) if name not in _OF_IPYWIDGETS)
        return [
            name
            for name in object.__dir__(self)
            if name in own or name in _INHERITED or name.startswith("__")
        ]


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]
