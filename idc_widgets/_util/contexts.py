"""Context managers that a KeyboardInterrupt cannot leave open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, _GeneratorContextManager
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar

__all__ = ["ended_context"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class _Context(_GeneratorContextManager[_Result]):
    def __enter__(self) -> _Result:
        try:
            return super().__enter__()
        except BaseException:
            self.gen.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            return super().__exit__(kind, error, trace)
        finally:
            self.gen.close()


def ended_context(
    function: Callable[_Arguments, Iterator[_Result]],
) -> Callable[_Arguments, AbstractContextManager[_Result]]:
    """Make a context manager of a generator function that holds a lock; end it after an interrupt.

    A KeyboardInterrupt may come when the generator has just reached its yield. Then the block
    is not run, and Python leaves the generator as it is, with its lock, for as long as
    the traceback lives. IPython keeps a traceback until the next error. Here, the generator is
    ended at once.

    >>> @ended_context
    ... def held(name):
    ...     yield name
    >>> with held("a") as name:
    ...     print(name)
    a
    """

    @wraps(function)
    def make(
        *args: _Arguments.args, **keywords: _Arguments.kwargs
    ) -> AbstractContextManager[_Result]:
        return _Context(function, args, keywords)  # type: ignore[arg-type]

    return make
