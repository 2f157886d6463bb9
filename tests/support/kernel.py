"""A real kernel without a front end, to test the effects of running a cell again.

>>> with Kernel() as kernel:
...     kernel.run("x = 1", cell="first")
...     assert kernel.run("print(x + 1)", cell="second") == "2"
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

import idc_widgets

__all__ = ["Kernel", "KernelError"]

PATIENCE_SECONDS = 360.0


class KernelError(AssertionError):
    """A cell raised an exception, or the kernel does not answer."""


class Kernel:
    """A process of ipykernel, which runs during a ``with`` statement.

    It uses sockets in a folder of its own instead of ports, and no configuration of the user.

    Args:
        env: More environment variables of the kernel.
        prefix: A command that runs the kernel: it comes before the kernel's own command line.
        owner: The ids of the user and the group, if `prefix` changes them.
    """

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        owner: tuple[int, int] | None = None,
    ) -> None:
        self._env, self._prefix, self._owner = dict(env or {}), list(prefix), owner

    def __enter__(self) -> Kernel:
        # Paths of sockets must be short, so this is not a folder of pytest.
        self._folder = tempfile.mkdtemp(prefix="idck")
        path, _ = write_connection_file(
            f"{self._folder}/kernel.json",
            transport="ipc",
            ip=f"{self._folder}/socket",
            key=os.urandom(16).hex().encode(),
        )
        if self._owner is not None:
            for owned in (self._folder, path):
                os.chown(owned, *self._owner)
        package = str(Path(idc_widgets.__file__).parents[1])
        inherited = os.environ.get("PYTHONPATH")
        self._process = subprocess.Popen(
            [*self._prefix, sys.executable, "-m", "ipykernel_launcher", "-f", path],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, [package, inherited])),
                "IPYTHONDIR": self._folder,
                "JUPYTER_CONFIG_DIR": self._folder,
                "JUPYTER_RUNTIME_DIR": self._folder,
                **self._env,
            },
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._client = BlockingKernelClient(connection_file=path)
        self._client.load_connection_file()
        # The heartbeat would report a kernel that starts slowly as dead.
        self._client.start_channels(hb=False, stdin=False)
        try:
            self._client.wait_for_ready(timeout=PATIENCE_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.stop_channels()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, code: str, cell: str | None = None) -> str:
        """Run code as a cell and return what it printed.

        Args:
            code: The code.
            cell: The id of the cell, as JupyterLab sends it; None for a front end without ids.

        Raises:
            KernelError: The cell raised an exception, or the kernel does not answer.
        """
        message = self._client.session.msg(
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": True,
            },
            metadata={"cellId": cell} if cell is not None else {},
        )
        self._client.shell_channel.send(message)
        printed: list[str] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                answer: dict[str, Any] = self._client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            except ValueError as error:  # a kernel that can start no threads mixes up its messages
                raise KernelError(f"the kernel sent a broken message: {error}") from error
            if answer["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            content = answer["content"]
            if answer["msg_type"] == "error":
                raise KernelError("\n".join(content["traceback"]))
            if answer["msg_type"] == "stream":
                printed.append(content["text"])
            if content.get("execution_state") == "idle":
                return "".join(printed).strip()
        raise KernelError(f"the kernel did not answer to {code!r}; it printed {''.join(printed)!r}")

    def complete(self, code: str) -> list[str]:
        """Return the completions at the end of the code, as Tab shows them.

        Raises:
            KernelError: The kernel does not answer.
        """
        message = self._client.complete(code, len(code))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                answer: dict[str, Any] = self._client.get_shell_msg(timeout=1)
            except queue.Empty:
                continue
            if answer["parent_header"].get("msg_id") == message:
                return list(answer["content"]["matches"])
        raise KernelError(f"the kernel did not complete {code!r}")
