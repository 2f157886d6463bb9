"""What `dir` lists, and the message about an unknown attribute."""

from __future__ import annotations

import pytest

from idc_widgets._util import PublicNames


class Thing(PublicNames):
    _not_listed = frozenset(("engine",))
    _names_elsewhere = {"rows": "thing.table()"}  # noqa: RUF012

    def __init__(self) -> None:
        self.engine, self.size_MB, self._secret = 1, 2, 3

    @property
    def broken(self) -> int:
        return self.engine.nothing  # type: ignore[attr-defined]

    def table(self) -> None: ...


def test_dir_lists_what_users_need() -> None:
    names = [name for name in dir(Thing()) if not name.startswith("__")]
    assert names == ["broken", "size_MB", "table"]
    assert "__init__" in dir(Thing())
    assert Thing().engine == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rows", "'Thing' object has no attribute 'rows'; here, it is thing.table()"),
        ("tabel", "'Thing' object has no attribute 'tabel'; did you mean 'table'?"),
        ("size", "'Thing' object has no attribute 'size'; did you mean 'size_MB'?"),
        ("zzz", "'Thing' object has no attribute 'zzz'"),
        ("_secrets", "'Thing' object has no attribute '_secrets'"),
    ],
)
def test_an_unknown_attribute(name: str, message: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(Thing(), name)
    assert str(caught.value) == message


def test_the_error_of_a_property_is_not_hidden() -> None:
    with pytest.raises(AttributeError, match="'int' object has no attribute 'nothing'"):
        _ = Thing().broken
