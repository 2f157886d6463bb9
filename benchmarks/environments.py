"""Do the main job in environments that lack something: each step works or says what is missing.

A real kernel opens a client, filters, selects, prepares the index, shows the browser, and downloads
from a local server, under namespaces, resource limits and control groups of Linux. Prints a table;
exits with status 1 if a step failed with an error that is not one of ours.

It needs root on Linux, and changes nothing outside of the processes that it starts.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pyarrow.parquet as pq
from support.kernel import Kernel, KernelError
from support.s3server import S3Server, series_objects

from idc_widgets import Index

#: A user of no other process, so that limits of the number of processes count only ours.
USER = 61_234

#: 40 series with 40 files, 47 MB.
MODALITY = "KO"

#: Name → the code of a step. The last line that it prints is the result.
STEPS = {
    "import": """
import logging, os, time
from idc_widgets import IDCBrowser, IDCClient
from idc_widgets.errors import IDCError
logging.getLogger("idc_widgets").setLevel(logging.ERROR)
print("works")
""",
    "client": """
client = IDCClient(endpoint_url=os.environ["ENDPOINT"])
print("works", client.data_version)
""",
    "cohort": """
cohort = client.cohort(Modality=os.environ["MODALITY"])
assert cohort.summary().series == 40 == len(cohort.series())
assert len(client.cohort(collection_id="nlst").patients()) > 20_000
print("works")
""",
    "sql": """
rows = client.sql("SELECT Modality, count(*) AS n FROM index GROUP BY 1 ORDER BY n DESC")
assert len(rows) > 20
print("works")
""",
    "select": """
selection = cohort.select()
assert len(selection.uids) == 40
print("works")
""",
    "prepare": """
client.build_cache()
print("works")
""",
    "browser": """
browser = IDCBrowser(folder="idc_data")
browser.filters = client.cohort(Modality=os.environ["MODALITY"])
assert browser.selection.summary().series == 40
print("works" if not browser.state.message else f"says: {browser.state.message}")
""",
    "download": """
job = selection.download("idc_data", endpoint_url=os.environ["ENDPOINT"])
job.wait(240)
assert job.is_finished, job.log
files = sum(map(len, job.paths.values()))
if job.state == "complete":
    assert files == 40, files
    print("works")
else:
    print(f"says: {job.state}: {job.error or list(job.failed.values())[:1] or job.log[-1:]}")
""",
}

#: Runs the code of a step and prints its error. An error of ours is a sentence for the user.
RUN = """
try:
    exec({code!r}, globals())
except IDCError as error:
    print("says:", error)
except Exception as error:
    print(f"FAILS: {{type(error).__module__}}.{{type(error).__qualname__}}: {{error}}")
"""


@dataclass(frozen=True)
class Environment:
    """The limits of a kernel: which files it may use, its memory, and whether it has a network.

    Args:
        name: Shown in the table.
        setup: Commands of a shell with mounts of its own, in the folder of the kernel. $HOME is an
            empty folder of the user.
        variables: Arguments of env.
        limits: Arguments of prlimit.
        memory_MB: The limit of a control group; None for no limit.
        user: The id of the user.
        has_network: False for no network, not even that of the machine with itself.
        prepares: Whether to prepare the index, too; this step takes longer than all others.
    """

    name: str
    setup: str = ":"
    variables: str = ""
    limits: str = ""
    memory_MB: int | None = None
    user: int = USER
    has_network: bool = True
    prepares: bool = False


#: Mounts another file over setpriv, because a file cannot be removed for one process only.
COVER_SETPRIV = """
chmod 755 "$HOME/setpriv"
mv "$HOME/setpriv" "$HOME/.."
mount --bind "$HOME/../setpriv" "$(readlink -f "$(command -v setpriv)")"
"""

#: A setpriv like that of util-linux 2.32, which RHEL 8 has.
OLD_SETPRIV = (
    r"""
printf '#!/bin/sh\necho "setpriv: unrecognized option $1" >&2\nexit 1\n' > "$HOME/setpriv"
"""
    + COVER_SETPRIV
)

READ_ONLY_ROOT = """
mount --bind /tmp /tmp
mount -o remount,bind,ro /
"""

READ_ONLY_TMP = """
mount --bind /tmp /tmp
mount --bind . .
mount --bind /var/tmp /var/tmp
mount -o remount,bind,ro /var/tmp
mount -o remount,bind,ro /tmp
"""

ENVIRONMENTS = (
    Environment("a usual user"),
    Environment("root", user=0),
    Environment("setpriv of RHEL 8", OLD_SETPRIV),
    Environment("no setpriv", 'touch "$HOME/setpriv"' + COVER_SETPRIV.replace("755", "644")),
    Environment("no HOME, and no entry in passwd", variables="-u HOME", prepares=True),
    Environment("HOME is missing", variables="HOME=/nonexistent", prepares=True),
    Environment(
        "HOME is read-only",
        'mount --bind "$HOME" "$HOME"; mount -o remount,bind,ro "$HOME"',
        prepares=True,
    ),
    Environment("HOME of another user", 'chown 0:0 "$HOME"; chmod 700 "$HOME"', prepares=True),
    Environment("HOME of another user, readable", 'chown 0:0 "$HOME"; chmod 755 "$HOME"'),
    Environment(
        "root file system is read-only", READ_ONLY_ROOT, variables="HOME=/home", prepares=True
    ),
    *(Environment(f"{n} processes", limits=f"--nproc={n}") for n in (64, 32, 24, 20, 16)),
    Environment("512 MB of memory", memory_MB=512, prepares=True),
    Environment("4 GB of addresses", limits=f"--as={4 * 10**9}"),
    Environment("128 open files", limits="--nofile=128", prepares=True),
    Environment("64 open files", limits="--nofile=64"),
    Environment("files up to 20 MB", limits=f"--fsize={20 * 10**6}", prepares=True),
    Environment("no /dev/shm", "umount -l /dev/shm"),
    Environment("no /proc", "umount -l /proc"),
    Environment("/tmp is noexec", "mount --bind /tmp /tmp; mount -o remount,bind,noexec /tmp"),
    Environment("/tmp is read-only", READ_ONLY_TMP),
    Environment("no network", has_network=False),
    Environment("no certificates", "mount -t tmpfs none /etc/ssl"),
    Environment("an ASCII locale", variables="LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"),
)


def prefix(environment: Environment) -> list[str]:
    """Return the beginning of a command line that runs the rest in an environment."""
    namespaces = ["--mount", *([] if environment.has_network else ["--net"])]
    lines = [*cgroup_lines(environment), *expose_lines(), environment.setup]
    # Enter the folder anew by its path, as `setup` may have mounted another disk there.
    script = "\n".join(["set -e", *lines, 'cd "$PWD"', 'exec "$@"'])
    user = f"{environment.user}:{environment.user}"
    return [
        *("unshare", *namespaces, "sh", "-c", script, "sh"),
        *("env", *environment.variables.split()),
        *("prlimit", *environment.limits.split()),
        # setpriv may be covered.
        *("chroot", "--userspec", user, "--groups", "", "--skip-chdir", "/"),
    ]


def cgroup_lines(environment: Environment) -> Iterator[str]:
    """Yield commands that put the shell into a control group."""
    if environment.memory_MB is None:
        return
    for root, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path("/sys/fs/cgroup", root, f"idc_widgets-{os.getpid()}")
        if root and not group.parent.is_dir():
            continue
        yield f"mkdir -p {group}"
        yield f"echo {environment.memory_MB * 10**6} > {group}/{limit}"
        yield f"echo $$ > {group}/cgroup.procs"
        return


def expose_lines() -> Iterator[str]:
    """Yield commands that let other users run this Python if it is in a private folder."""
    python = Path(sys.base_prefix).resolve()
    private = [folder for folder in python.parents if not folder.stat().st_mode & 0o001]
    if private:
        kept = '"$HOME/../python"'
        yield f"mkdir -p {kept}; mount --bind {shlex.quote(str(python))} {kept}"
        yield f"mount -t tmpfs -o mode=755 none {shlex.quote(str(private[-1]))}"
        yield f"mkdir -p {shlex.quote(str(python))}"
        yield f"mount --move {kept} {shlex.quote(str(python))}"


def results(environment: Environment, endpoint_url: str) -> Iterator[tuple[str, str]]:
    """Yield the names of the steps in an environment with their results."""
    with tempfile.TemporaryDirectory(prefix="idc_widgets-") as folder:
        os.chmod(folder, 0o755)
        home = Path(folder, "home")
        home.mkdir()
        os.chown(home, environment.user, environment.user)
        variables = {"HOME": str(home), "ENDPOINT": endpoint_url, "MODALITY": MODALITY}
        kernel = Kernel(
            variables | {"PYTHONDONTWRITEBYTECODE": "1"},
            prefix=prefix(environment),
            owner=(environment.user, environment.user),
        )
        try:
            with kernel:
                for name, code in STEPS.items():
                    if name == "prepare" and not environment.prepares:
                        continue
                    lines = kernel.run(code if name == "import" else RUN.format(code=code))
                    result = lines.splitlines()[-1] if lines else "FAILS: printed nothing"
                    yield name, result
                    if name == "client" and not result.startswith("works"):
                        return  # all further steps need a client
        except (KernelError, RuntimeError) as error:
            yield "kernel", f"FAILS: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="run only environments with these in their names")
    options = parser.parse_args()
    if sys.platform != "linux" or os.geteuid() or not shutil.which("unshare"):
        print("this needs root on Linux")
        return
    rows = pq.read_table(Index().shipped, filters=[("Modality", "=", MODALITY)]).to_pylist()
    failures = 0
    with S3Server(series_objects(rows)) as s3:
        for environment in ENVIRONMENTS:
            if options.names and not any(name in environment.name for name in options.names):
                continue
            start = time.monotonic()
            print(f"{environment.name}:", flush=True)
            done = []
            for step, result in results(environment, s3.url):
                if result.startswith("works"):
                    done.append(step)
                else:
                    failures += result.startswith("FAILS")
                    print(f"    {step} {result}", flush=True)
            print(f"    work: {', '.join(done)} ({time.monotonic() - start:.0f} s)", flush=True)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
