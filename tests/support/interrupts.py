"""A KeyboardInterrupt at every place of the package where Python looks for one."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import idc_widgets

PACKAGE = str(Path(idc_widgets.__file__).parent)

#: Python looks for signals after these instructions. After a call, it looks only if the called
#: function is not written in Python.
_POINTS = {"RESUME", "JUMP_BACKWARD", "CALL", "CALL_FUNCTION_EX", "CALL_KW"}
_POINTS |= {"CALL_FUNCTION", "CALL_FUNCTION_KW", "CALL_METHOD"}  # Python 3.10


class _Interrupt:
    """A trace function that raises KeyboardInterrupt at one of these places, given its number."""

    def __init__(self, number: int, is_traced: Callable[[CodeType], bool]) -> None:
        self.left, self.is_traced, self.where = number, is_traced, ""
        #: The last instruction of each frame, unless it called a function written in Python.
        self._last: dict[FrameType, str] = {}

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_back is not None:
            self._last.pop(frame.f_back, None)
        if not self.is_traced(frame.f_code):
            return None
        frame.f_trace_opcodes = True
        self._last[frame] = "RESUME"  # Python 3.11 does not report the instruction itself
        return self._in_frame

    def _in_frame(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode":
            last, code = self._last.get(frame), frame.f_code
            self._last[frame] = dis.opname[code.co_code[frame.f_lasti]]
            if last in _POINTS:
                self.left -= 1
                if self.left == 0:
                    self.where = f"{Path(code.co_filename).name}:{frame.f_lineno}"
                    sys.settrace(None)
                    raise KeyboardInterrupt
        return self._in_frame


def interrupted_everywhere(
    make: Callable[[], Callable[[], object]], *modules: str
) -> Iterator[tuple[str, BaseException]]:
    """Run a function again and again, and interrupt it at another place each time.

    Args:
        make: Makes what is needed, and returns the function to interrupt.
        modules: Names of files, such as "turns.py". Interrupts come in these files of the package
            or of Python.

    Yields:
        The place, and the KeyboardInterrupt with its traceback.
    """

    def is_traced(code: CodeType) -> bool:
        return Path(code.co_filename).name in modules

    number = 0
    while True:
        number += 1
        function, interrupt = make(), _Interrupt(number, is_traced)
        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            function()
        except KeyboardInterrupt as error:
            sys.settrace(before)
            yield interrupt.where, error
        finally:
            sys.settrace(before)
        if not interrupt.where:
            assert number > 1, "there is no such place"
            return
