"""Whom nginx counts as one client, asked of nginx itself with the role's own lines."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.pages.edge import render

MAIN = """
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    # In place of addresses that this machine does not have.
    set_real_ip_from unix:;
    real_ip_header X-Client;
    {limits}
    server {{
        listen unix:{place}/web.sock;
        location / {{
            limit_req zone=edge_requests;
            empty_gif;
        }}
    }}
}}
"""


class Edge:
    """An nginx that lets each client ask once."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def status(self, address: str) -> int:
        connection = http.client.HTTPConnection("edge")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self._path)
        connection.request("GET", "/", headers={"X-Client": address})
        answer = connection.getresponse().status
        connection.close()
        return answer


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    place = tmp_path_factory.mktemp("edge")
    certificates = cast(Any, SimpleNamespace(directory=place))
    render(place, "shop.example", "127.0.0.1", place / "live.sock", certificates)
    site = (place / "sites-enabled" / "pasargad.conf").read_text()
    start, end = site.index("geo $edge_unlimited"), site.index("limit_req_status")
    limits = site[start:end].replace("rate=30r/s", "rate=1r/m")
    assert limits.count("rate=1r/m") == 1
    (place / "limits.conf").write_text(MAIN.format(place=place, limits=f"{limits}limit_req_status 429;"))
    command = ["nginx", "-p", str(place), "-e", str(place / "error.log"), "-c", str(place / "limits.conf")]
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    deadline = time.monotonic() + 20
    while not (place / "web.sock").exists():
        assert process.poll() is None and time.monotonic() < deadline, (place / "error.log").read_text()
        time.sleep(0.05)
    yield Edge(place / "web.sock")
    process.send_signal(signal.SIGTERM)
    process.wait(20)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.2", "10.0.0.3", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:3::1", "2001:db8:1:4::1", False),
        ("2001:db8::1", "2001:db8:0:0:a:b:c:d", True),
        ("::3:4:5:6:7:8", "0:0:3:4:1:1:1:1", True),
        # Bytes that are a line's end, and letters that differ in case alone.
        ("2001:db8:a0a:a::1", "2001:db8:a0a:a:0a0a::2", True),
        ("2001:db8:4141:1::1", "2001:db8:6161:1::1", False),
        ("::ffff:10.1.0.1", "10.1.0.1", True),
        ("::ffff:10.1.0.2", "::ffff:10.1.0.3", False),
        # Exempt, as the operators of this test say.
        ("127.0.0.5", "127.0.0.5", False),
    ],
)
def test_a_client_is_an_ipv4_address_or_a_64_of_ipv6(edge: Edge, one: str, other: str, same: bool) -> None:
    assert [edge.status(one), edge.status(other)] == [200, 429 if same else 200]
    assert same is (subject(one) == subject(other)) or one.startswith("127.")


def subject(text: str) -> str:
    """Whom the shop counts: the rule of `pasargad.clients`, said another way."""
    address = ip_address(text)
    if address.version == 6 and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address if address.version == 4 else ip_network((address, 64), strict=False))
