"""An S3 server at the speed of the disk: nginx on 127.0.0.1, with prepared files and listings.

s5cmd requests `GET /bucket?list-type=2&prefix=<series>/` and `GET /bucket/<series>/<file>`. The
listing of a series is a file as well, so that nginx only sends files.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONFIGURATION = """
user {user} {group};
worker_processes {workers};
daemon off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path temp_body;
  proxy_temp_path temp_proxy;
  fastcgi_temp_path temp_fastcgi;
  uwsgi_temp_path temp_uwsgi;
  scgi_temp_path temp_scgi;
  map $arg_prefix $series {{ "~^(?<name>[0-9a-f-]+)(/|%2F)$" $name; }}
  limit_req_zone $server_port zone=files:1m rate={files_per_second}r/s;
{servers}
}}
"""

SERVER = """
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    root objects;
    default_type application/dicom;
    {limit}
    location ~ ^/(?<bucket>[a-z0-9.-]+)$ {{
      root lists;
      default_type application/xml;
      types {{ }}
      try_files /$bucket/$series.xml =404;
    }}
  }}
"""


def missing_program() -> str:
    """Return why no server can run here; an empty text if one can."""
    if _nginx():
        return ""
    return "there is no nginx: sudo apt-get install nginx-light, or brew install nginx"


def write(folder: Path, series: Iterable[Mapping[str, Any]], *, hollow: bool = False) -> None:
    """Create the objects of series, and their listings.

    Args:
        folder: The folder of the server.
        series: Mappings with bucket, prefix, instances and size_bytes.
        hollow: Create sparse files, which take no space on disk.
    """
    block = os.urandom(1 << 20)
    for item in series:
        bucket, prefix = item["bucket"], item["prefix"]
        target = folder / "objects" / bucket / prefix
        target.mkdir(parents=True)
        entries = []
        count, total = item["instances"], item["size_bytes"]
        for at in range(count):
            size = total * (at + 1) // count - total * at // count
            name = f"{uuid.uuid5(uuid.NAMESPACE_OID, f'{prefix}/{at}')}.dcm"
            with (target / name).open("wb") as file:
                if hollow:
                    file.truncate(size)
                else:
                    for start in range(0, size, len(block)):
                        file.write(block[: size - start])
            entries.append(
                f"<Contents><Key>{prefix}/{name}</Key><Size>{size}</Size>"
                "<LastModified>2024-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{at:032x}&quot;</ETag><StorageClass>STANDARD</StorageClass></Contents>"
            )
        listing = folder / "lists" / bucket / f"{prefix}.xml"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text(
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{prefix}/</Prefix>"
            f"<KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>{''.join(entries)}"
            "</ListBucketResult>"
        )


@contextmanager
def serving(
    folder: Path, limits: Mapping[str, str], files_per_second: int = 1000
) -> Iterator[dict[str, str]]:
    """Serve what `write` created; yield the address of each server, by its name in `limits`.

    Args:
        folder: The folder that was passed to `write`.
        limits: The name of each server, and the directives of nginx that limit the server. They
            may use the zone `files`, which delays requests beyond `files_per_second`.
        files_per_second: The limit of the zone `files`.
    """
    ports = {name: _free_port() for name in limits}
    servers = [SERVER.format(port=ports[name], limit=limit) for name, limit in limits.items()]
    configuration = folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            user=pwd.getpwuid(
                os.getuid()
            ).pw_name,  # nginx started by root would run as the user nobody
            group=grp.getgrgid(os.getgid()).gr_name,
            workers=os.cpu_count(),
            files_per_second=files_per_second,
            servers="".join(servers),
        )
    )
    nginx = subprocess.Popen([_nginx(), "-p", folder, "-c", configuration])
    try:
        for port in ports.values():
            _until_it_listens(port, nginx)
        yield {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    finally:
        nginx.terminate()
        nginx.wait()


def _nginx() -> str:
    # Debian installs nginx in a folder that is only on the PATH of root
    return (
        shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _until_it_listens(port: int, nginx: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if nginx.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("nginx did not start") from None
            time.sleep(0.05)
