"""nginx as the shop's hosts run it: the role's own templates, for a private directory and a loopback address."""

from __future__ import annotations

import re
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
import yaml

from .certificates import Certificates

ROLE = Path(__file__).resolve().parents[2] / "roles" / "web_proxy"
START_SECONDS = 10.0
# The templates name these places of a host; here they are below a directory of our own.
PLACES = {
    "/run/nginx.pid": "nginx.pid",
    "/var/log/nginx": "log",
    "/var/cache/nginx": "cache",
    "/etc/nginx/conf.d": "conf.d",
}


def render(directory: Path, domain: str, address: str, live_socket: Path, certificates: Certificates) -> Path:
    """Write the role's two files for one loopback address; returns the main one."""
    values: dict[str, Any] = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    values |= {
        "ansible_managed": "Rendered for a test of pages.",
        "ansible_facts": {"distribution_major_version": 12 if nginx_version() < (1, 25) else 13},
        "web_proxy_domain": domain,
        "web_proxy_aliases": [],
        "web_proxy_peer_addresses": [],
        "web_proxy_srv_dir": str(directory / "srv"),
        "web_proxy_live_socket": str(live_socket),
        "web_proxy_tls_live_dir": str(certificates.directory),
        "web_proxy_acme_webroot": str(directory / "acme"),
        "web_proxy_http_port": f"{address}:80",
        "web_proxy_https_port": f"{address}:443",
        "web_proxy_ipv6_enabled": False,
        "web_proxy_state_dir": str(directory / "edge"),
        "web_proxy_hsts_seconds": 31536000,
        "web_proxy_hsts_include_subdomains": False,
        "web_proxy_hsts_preload": False,
        "web_proxy_unlimited_networks": ["127.0.0.0/8"],
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates"),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  # a configuration file, not a page
    )
    environment.filters |= {
        "regex_replace": lambda text, old, new="": re.sub(old, new, text),
        "regex_escape": re.escape,
    }
    for place in ("log", "cache", "conf.d", "sites-enabled", "edge/errors", "acme"):
        (directory / place).mkdir(parents=True, exist_ok=True)
    # nginx looks for its modules beside its configuration.
    (directory / "modules").symlink_to("/usr/share/nginx/modules")
    main = directory / "nginx.conf"
    for template, target in (
        ("nginx.conf.j2", main),
        ("pasargad.conf.j2", directory / "sites-enabled" / "pasargad.conf"),
    ):
        text = environment.get_template(template).render(values)
        for place, ours in PLACES.items():
            text = text.replace(place, str(directory / ours))
        target.write_text(text)
    pages = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__web_proxy_pages"]
    for page in pages:
        text = environment.get_template("error.html.j2").render(
            item={**page, "text": page["text"].replace("{{ web_proxy_body_max_mb }}", "12")}
        )
        (directory / "edge" / "errors" / page["name"]).write_text(text)
    return main


def nginx_version() -> tuple[int, ...]:
    told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(int(part) for part in re.findall(r"\d+", told.partition("/")[2])[:2])


@contextmanager
def edge(main: Path, address: str) -> Iterator[None]:
    """Run nginx until the block ends; it is up when it answers."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert program, "nginx is not installed. Run: bin/setup --tests"
    log = main.parent / "nginx.out"
    command = [program, "-p", str(main.parent), "-c", str(main), "-g", "daemon off;"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not listens(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def listens(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/", timeout=2)
    except (ssl.SSLError, urllib.error.HTTPError, ConnectionResetError, OSError) as error:
        return not isinstance(error, urllib.error.URLError) or not isinstance(error.reason, ConnectionRefusedError)
    return True
