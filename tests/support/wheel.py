"""Build the wheel of the checkout and install it into another folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """Run a command of this Python; return its output, or fail the test with its output."""
    process = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def build(folder: Path) -> Path:
    """Build the wheel of the checkout in `folder`; return its path."""
    # Without isolation, building needs no network: hatchling is one of the test packages.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    run("-m", "pip", "wheel", *options, "--wheel-dir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("idc_widgets-*.whl")
    return path


def install(wheel: Path, target: Path) -> Path:
    """Install the wheel into the folder `target`; return the folder."""
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet"]
    run("-m", "pip", "install", *options, "--target", target, wheel, cwd=target)
    return target
