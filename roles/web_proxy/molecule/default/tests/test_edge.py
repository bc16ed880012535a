"""What shoppers and strangers meet at the edge, before and while a shop runs behind it."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://tested"]


@dataclass(frozen=True)
class Answer:
    """One response: status code, headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def told(self) -> dict[str, object]:
        """What the tiny shop says about the request."""
        return json.loads(self.body)


def domain(host: Host) -> str:
    return f"{host.backend.host}.pasargad.test"


def fetch(host: Host, path: str, *options: str, scheme: str = "https") -> Answer:
    """Ask the edge from its own host, by name; the certificate has tests of its own."""
    name = domain(host)
    words = ["curl", "-sSk", "-D", "-", "--resolve", f"{name}:443:127.0.0.1", "--resolve", f"{name}:80:127.0.0.1"]
    text = host.check_output(shlex.join([*words, *options, f"{scheme}://{name}{path}"]))
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    lines = head.splitlines()
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    return Answer(int(lines[0].split()[1]), headers, body)


@pytest.fixture
def shop(host: Host) -> Iterator[None]:
    """The blue slot serves, and green is ready."""
    host.check_output(
        "systemctl start slot@blue slot@green; "
        "for s in blue green; do until [ -S /run/pasargad/$s/web.sock ]; do sleep 0.05; done; done; "
        "ln -sfn blue/web.sock /run/pasargad/live.sock"
    )
    yield
    host.check_output("systemctl stop slot@blue slot@green; rm -rf /run/pasargad /var/cache/nginx/pasargad/*")


def test_without_a_release_there_is_a_page(host: Host) -> None:
    answer = fetch(host, "/")
    assert answer.status == 502
    assert "We will be right back" in answer.body
    assert answer.headers["retry-after"] == "5"
    assert fetch(host, "/checkout/", "-X", "POST", "-d", "card=1").status == 502


def test_the_shop_learns_who_asks_and_believes_no_claim(host: Host, shop: None) -> None:
    forged = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Proto: http",
        "Forwarded: for=6",
    ]
    heard = fetch(host, "/", *(word for header in forged for word in ("-H", header))).told["headers"]
    assert isinstance(heard, dict)
    assert heard["host"] == domain(host)
    assert heard["x-forwarded-for"] == heard["x-real-ip"] == "127.0.0.1"
    assert heard["x-forwarded-proto"] == "https"
    assert heard["x-forwarded-host"] == domain(host)
    assert re.fullmatch("[0-9a-f]{32}", heard["x-request-id"])
    assert "forwarded" not in heard


def test_a_renamed_link_switches_at_once_and_without_a_reload(host: Host, shop: None) -> None:
    workers = host.check_output("pgrep -P $(cat /run/nginx.pid)")
    name = domain(host)
    ask = f"curl -sSk --resolve {name}:443:127.0.0.1 https://{name}/?fresh="
    rename = "ln -s {}/web.sock /run/pasargad/live.next && mv -T /run/pasargad/live.next /run/pasargad/live.sock"
    for slot in ("green", "blue"):
        # Requests right before the switch: a connection kept from one of them would lead the next to the old slot.
        before = " ; ".join(f"{ask}{slot}{number} > /dev/null" for number in range(8))
        after = " && ".join(f"{ask}{slot}-after{number} && echo" for number in range(4))
        answers = host.check_output(f"{before} ; {rename.format(slot)} && {after}").splitlines()
        assert [json.loads(answer)["slot"] for answer in answers] == [slot] * 4
    assert host.check_output("pgrep -P $(cat /run/nginx.pid)") == workers


def test_the_log_says_everything_as_json(host: Host, shop: None) -> None:
    fetch(host, '/quoted%22path?q="1"&cache=no-store', "-X", "POST", "-d", "x=1")
    line = json.loads(host.check_output("tail -n 1 /var/log/nginx/pasargad.access.json"))
    assert set(line) == {
        "t",
        "id",
        "method",
        "uri",
        "status",
        "bytes",
        "rt",
        "us",
        "ut",
        "cache",
        "slot",
        "release",
        "addr",
        "host",
    }
    assert isinstance(line["t"], float)
    assert (line["method"], line["status"], line["us"]) == ("POST", 200, "200")
    assert (line["slot"], line["release"], line["host"]) == ("blue", "release-blue", domain(host))
    answer = fetch(host, "/")
    assert not {"x-pasargad-slot", "x-pasargad-release"} & set(answer.headers)


CAPABILITY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"/orders/{CAPABILITY}/", "/orders/…/"),
        (f"/orders/{CAPABILITY}/return/?payment_intent_client_secret=pi_secret", "/orders/…/return/"),
        (f"/orders/{CAPABILITY.upper()}?x=1", "/orders/…"),
        (f"/orders/%30{CAPABILITY[1:]}/pay/", "/orders/…/pay/"),
        (f"/%6Frders/{CAPABILITY}/", "/%6Frders/…"),
        (f"/login/?next=/orders/{CAPABILITY}/", "/login/?…"),
        ("/accounts/password/reset/key/1-abc-def/", "/accounts/password/reset/key/…"),
        ("/reminders/stop/NQ:1abc:def/", "/reminders/stop/…"),
        (f"/fa/orders/{CAPABILITY}/", "/orders/…/"),
        ("/fa/reminders/stop/NQ:1abc:def/", "/fa/reminders/stop/…"),
        ("/fa/account/confirm-email/abc/", "/fa/account/confirm-email/…"),
        ("/orders/find/?lang=de", "/orders/find/?lang=de"),
        ("/goods/vase/?colour=blue", "/goods/vase/?colour=blue"),
    ],
)
def test_the_log_gives_no_order_away(host: Host, shop: None, path: str, logged: str) -> None:
    fetch(host, path)
    line = json.loads(host.check_output("tail -n 1 /var/log/nginx/pasargad.access.json"))
    assert line["uri"] == logged
    assert CAPABILITY not in json.dumps(line)


def test_nobody_else_reads_the_logs_also_after_a_rotation(host: Host, shop: None) -> None:
    for command in ("true", "logrotate --force /etc/logrotate.d/pasargad-edge"):
        host.check_output(command)
        for name in ("pasargad.access.json", "error.log"):
            log = host.file(f"/var/log/nginx/{name}")
            assert (log.mode, log.user, log.group) == (0o640, "www-data", "adm"), name
    fetch(host, "/after-the-rotation")
    assert "/after-the-rotation" in host.check_output("tail -n 1 /var/log/nginx/pasargad.access.json")


PUBLIC = "/page?cache=public,max-age=1"
# Fresh for a second, and for another one good enough while a new one is fetched.
SOON_OLD = f"{PUBLIC},stale-while-revalidate=1"
# Fresh for long enough to ask three times, also on a busy machine.
LONG_GOOD_ENOUGH = "/page?cache=public,max-age=6,stale-while-revalidate=60"


def test_anonymous_pages_are_cached_as_long_as_the_shop_says(host: Host, shop: None) -> None:
    first = fetch(host, LONG_GOOD_ENOUGH).told["n"]
    assert fetch(host, LONG_GOOD_ENOUGH).told["n"] == first
    assert fetch(host, LONG_GOOD_ENOUGH, "--head").status == 200
    assert '"cache":"HIT"' in host.check_output("tail -n 1 /var/log/nginx/pasargad.access.json")
    time.sleep(7)
    assert fetch(host, LONG_GOOD_ENOUGH).told["n"] == first, "an old page is served while a new one is fetched"
    time.sleep(0.5)
    assert fetch(host, LONG_GOOD_ENOUGH).told["n"] != first


@pytest.mark.parametrize("path", [PUBLIC, SOON_OLD])
def test_a_page_older_than_the_shop_allows_is_shown_to_nobody(host: Host, shop: None, path: str) -> None:
    first = fetch(host, path).told["n"]
    time.sleep(4)
    assert fetch(host, path).told["n"] != first
    assert '"cache":"EXPIRED"' in host.check_output("tail -n 1 /var/log/nginx/pasargad.access.json")


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/page", ()),
        ("/page?cache=private,max-age=60", ()),
        ("/page?cache=public,max-age=60&cookie=a%3Db", ()),
        ("/page?cache=public,max-age=60", ("-b", "pp_session=1")),
        ("/page?cache=public,max-age=60", ("-b", "theme=dark; __Host-sessionid=1")),
        ("/page?cache=public,max-age=60", ("-H", "Authorization: Token 1")),
        ("/page?cache=public,max-age=60", ("-X", "POST", "-d", "x")),
    ],
)
def test_what_belongs_to_one_shopper_is_never_cached(
    host: Host, shop: None, path: str, options: tuple[str, ...]
) -> None:
    assert fetch(host, path, *options).told["n"] != fetch(host, path, *options).told["n"]


def test_a_cached_page_outlives_a_failing_shop(host: Host, shop: None) -> None:
    first = fetch(host, PUBLIC).told["n"]
    host.check_output("touch /run/pasargad/failing; sleep 1.5")
    for _ in range(3):
        assert fetch(host, PUBLIC).told["n"] == first
    assert fetch(host, "/uncached").status == 503


def test_errors_of_the_shop_pass_through(host: Host, shop: None) -> None:
    answer = fetch(host, "/?status=500")
    assert answer.status == 500
    assert answer.told["slot"] == "blue"


def test_static_files_come_compressed_from_the_disk(host: Host) -> None:
    host.check_output(
        "cd /srv/pasargad/static; for f in app.0123456789ab.css plain.css; do "
        "echo plain > $f; echo brotli > $f.br; echo gzip > $f.gz; done"
    )
    path = "/static/app.0123456789ab.css"
    brotli = fetch(host, path, "-H", "Accept-Encoding: gzip, br")
    assert (brotli.headers["content-encoding"], brotli.body) == ("br", "brotli")
    assert brotli.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert brotli.headers["content-type"].startswith("text/css")
    assert fetch(host, path, "-H", "Accept-Encoding: gzip").body == "gzip"
    assert fetch(host, path).body == "plain"
    assert fetch(host, "/static/plain.css").headers["cache-control"] == "public, max-age=300"
    assert fetch(host, "/static/none.css").status == 404


def test_uploads_are_shown_and_never_run(host: Host) -> None:
    host.check_output("echo '<script>alert(1)</script>' > /srv/pasargad/media/evil.html")
    headers = fetch(host, "/media/evil.html").headers
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../etc/passwd",
        "/static%2f..%2f..%2fetc/passwd",
        "/media../releases/x",
        "/.env",
        "/.git/config",
        "/edge-error/502.html",
    ],
)
def test_files_beyond_are_not_served(host: Host, path: str) -> None:
    answer = fetch(host, path, "--path-as-is")
    assert answer.status in {400, 404, 502}
    assert "root:" not in answer.body


def test_health_is_public_only_as_far_as_alive(host: Host, shop: None) -> None:
    assert fetch(host, "/health/live").status == 200
    assert fetch(host, "/health/ready").status == 404
    assert fetch(host, "/health/").status == 404


def test_every_kind_of_answer_carries_hsts_once(host: Host, shop: None) -> None:
    for path in ("/", "/?status=404", "/?status=500", "/static/none.css", "/health/ready"):
        headers = fetch(host, path).headers
        assert headers["strict-transport-security"] == "max-age=31536000", path
        assert headers["server"] == "nginx"


def test_plain_http_leads_to_https(host: Host) -> None:
    answer = fetch(host, "/basket?a=1", scheme="http")
    assert (answer.status, answer.headers["location"]) == (301, f"https://{domain(host)}/basket?a=1")
    short = host.check_output("hostname")
    command = (
        f"curl -sk -o /dev/null -w '%{{http_code}} %{{redirect_url}}' --resolve {short}:443:127.0.0.1 https://{short}/x"
    )
    assert host.check_output(command) == f"301 https://{domain(host)}/x"


@pytest.mark.parametrize(
    "command",
    [
        "http://127.0.0.1/",
        "-H 'Host: evil.test' http://127.0.0.1/",
        "-k https://127.0.0.1/",
        "-k --resolve evil.test:443:127.0.0.1 https://evil.test/",
    ],
)
def test_other_names_get_no_answer(host: Host, command: str) -> None:
    answer = host.run(f"curl -s -o /dev/null -w '%{{http_code}}' {command}")
    assert answer.stdout == "000"
    assert answer.rc in {35, 52, 56}


def test_a_known_handshake_does_not_open_other_names(host: Host, shop: None) -> None:
    name = domain(host)
    answer = host.run(f"curl -sk --resolve {name}:443:127.0.0.1 -H 'Host: evil.test' https://{name}/")
    assert "blue" not in answer.stdout


@pytest.mark.parametrize(("version", "works"), [("1.1", False), ("1.2", True), ("1.3", True)])
def test_tls_versions(host: Host, version: str, works: bool) -> None:
    option = f"-tls{version.replace('.', '_')} -cipher DEFAULT@SECLEVEL=0"
    answer = host.run(
        f"openssl s_client -brief {option} -connect 127.0.0.1:443 -servername {domain(host)} < /dev/null 2>&1"
    )
    assert (f"TLSv{version}" in answer.stdout and "Ciphersuite" in answer.stdout) == works, answer.stdout


def test_http2_is_spoken(host: Host) -> None:
    name = domain(host)
    assert (
        host.check_output(
            f"curl -sk -o /dev/null -w '%{{http_version}}' --resolve {name}:443:127.0.0.1 https://{name}/static/x"
        )
        == "2"
    )


def test_a_large_body_is_refused_with_a_page(host: Host, shop: None) -> None:
    host.check_output("head -c 13000000 /dev/zero > /tmp/large; head -c 11000000 /dev/zero > /tmp/fits")
    answer = fetch(host, "/upload", "-H", "Expect:", "--data-binary", "@/tmp/large")
    assert answer.status == 413
    assert "too large" in answer.body
    assert fetch(host, "/upload", "-H", "Expect:", "--data-binary", "@/tmp/fits").told["received"] == 11000000


def burst(host: Host, address: str, count: int, options: str = "", path: str = "/") -> list[str]:
    """Ask an address of the edge as fast as curl can; return the status codes."""
    name = domain(host)
    urls = f"https://{name}{path}?[1-{count}]"
    curl = "curl -sk --parallel --parallel-max 20 -o /dev/null -w '%{http_code}\\n'"
    return host.check_output(f"{curl} {options} --resolve {name}:443:{address} '{urls}'").split()


def test_one_client_is_limited_and_an_exempt_one_is_not(host: Host, shop: None) -> None:
    outer = host.check_output("ip -4 -o address show host0").split()[3].partition("/")[0]
    limited = burst(host, outer, 400)
    assert {"200", "429"} == set(limited)
    assert limited.count("200") >= 91
    assert set(burst(host, "127.0.0.1", 400)) == {"200"}
    time.sleep(4)
    guesses = burst(host, outer, 60, options="-d password=guess", path="/admin/login/")
    assert guesses.count("429") > 20
    assert guesses.count("200") >= 21


def test_maintenance_is_one_file(host: Host, shop: None) -> None:
    host.check_output("touch /var/lib/pasargad-edge/maintenance")
    try:
        answer = fetch(host, "/")
        assert answer.status == 503
        assert "being looked after" in answer.body
        assert fetch(host, "/static/plain.css").status == 200
    finally:
        host.check_output("rm /var/lib/pasargad-edge/maintenance")
    assert fetch(host, "/").status == 200


def test_the_shops_own_error_page_wins(host: Host) -> None:
    host.check_output("mkdir -p /srv/pasargad/static/errors; echo our own page > /srv/pasargad/static/errors/502.html")
    try:
        assert fetch(host, "/").body == "our own page"
    finally:
        host.check_output("rm -r /srv/pasargad/static/errors")


def test_a_wrong_configuration_leaves_the_old_one_serving(host: Host, shop: None) -> None:
    staged = "/etc/nginx/staging/sites-available/pasargad.conf"
    host.check_output(f"cp {staged} /tmp/staged; echo 'no_such_directive on;' >> {staged}")
    try:
        before = host.check_output("sha256sum /etc/nginx/sites-available/pasargad.conf")
        answer = host.run("PORTS='80 443' apply-edge /etc/nginx/staging")
        assert answer.rc == 1
        assert "no_such_directive" in answer.stderr
        assert "the old one stays in force" in answer.stderr
        assert host.check_output("sha256sum /etc/nginx/sites-available/pasargad.conf") == before
        assert fetch(host, "/").status == 200
    finally:
        host.check_output(f"cp /tmp/staged {staged}")
    assert host.check_output("PORTS='80 443' apply-edge /etc/nginx/staging") == ""


def test_a_busy_port_is_named_with_its_owner(host: Host) -> None:
    host.check_output("systemctl stop nginx; systemd-run --unit=squatter python3 -m http.server 443; sleep 1")
    try:
        answer = host.run("PORTS='80 443' apply-edge /etc/nginx/staging")
        assert answer.rc == 1
        assert "port 443, which nginx needs, is taken" in answer.stderr
        assert "python3" in answer.stderr
    finally:
        host.check_output("systemctl stop squatter")
    assert host.check_output("PORTS='80 443' apply-edge /etc/nginx/staging") == "started"


def test_nginx_belongs_to_the_edge_group(host: Host) -> None:
    group = host.group("pasargad-edge").gid
    worker = host.check_output("pgrep -u www-data -x nginx | head -n 1")
    assert str(group) in host.check_output(f"grep ^Groups: /proc/{worker}/status").split()
