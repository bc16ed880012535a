"""Every word reaches people on each channel, once unless a kill comes in between, and never disturbs a job."""

from __future__ import annotations

import email
import email.policy
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from pasargad_ops.backup import channels as doors
from pasargad_ops.backup.channels import Channel, Mail, Message, Slack, Undelivered, send_bounded
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.notices import FAILURE, SUCCESS, Notice, Sent, notice_put, notices_send

HOUR = 3600.0
NOON = 1_800_014_400.0  # 2027-01-15 12:00 UTC
FAILED = Notice(FAILURE, "logical", "2027-01-15", 21, "logical failed", ("pg_dump was killed",), urgent=True)
GOOD = Notice(SUCCESS, "logical", "2027-01-16", 0, "logical is done", ("12 MB",))
SECRET = "T000-B000-secretsecretsecret"


class Hook:
    """A webhook that answers the next of `answers` (a status, or headers with it, or "hang"), else 200."""

    def __init__(self) -> None:
        self.caught: list[str] = []
        self.answers: list[Any] = []
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = outer.answer()
                if status == "hang":
                    outer.release.wait(20)
                    return
                if status == 200:
                    outer.caught.append(json.loads(body)["text"])
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self) -> None:
                outer.caught.append("followed a redirect")
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/{SECRET}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self) -> tuple[Any, dict[str, str]]:
        found = self.answers.pop(0) if self.answers else 200
        return found if isinstance(found, tuple) else (found, {})

    def stop(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


class Inbox:
    """A relay that keeps what it takes, and answers RCPT and DATA as told."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.answers: list[str] = []
        self.tls: list[bool] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            found = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(found, EmailMessage)
            self.letters.append(found)
            self.tls.append(session.ssl is not None)
        return answer


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.stop()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    controller = Controller(found, hostname="127.0.0.1", port=free_port())
    controller.start()
    found.port = controller.port  # type: ignore[attr-defined]
    yield found
    controller.stop()


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


@pytest.fixture
def slack(hook: Hook, tmp_path: Path) -> Slack:
    (tmp_path / "webhook").write_text(hook.url + "\n")
    return Slack(tmp_path / "webhook")


@pytest.fixture
def mail(inbox: Inbox) -> Mail:
    return mail_to(inbox.port)  # type: ignore[attr-defined]


def mail_to(port: int) -> Mail:
    return Mail("127.0.0.1", port, "shop@shop.test", ("ops@shop.test", "night@shop.test"), starttls=False)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_an_urgent_notice_goes_out_at_once_on_each_channel_and_once(
    box: Path, mail: Mail, slack: Slack, inbox: Inbox, hook: Hook
) -> None:
    assert notice_put(box, FAILED, now=NOON)
    for later in (0, 60, HOUR, 25 * HOUR):
        sent = notices_send(box, [mail, slack], NOON + later)
        assert sent == Sent(2 if later == 0 else 0)
    (letter,) = inbox.letters
    assert (letter["Subject"], letter["To"]) == ("logical failed", "ops@shop.test, night@shop.test")
    assert letter["Message-ID"].endswith(".mail@shop.test>") and letter["Auto-Submitted"] == "auto-generated"
    assert "pg_dump was killed" in letter.get_content() and "logical 2027-01-15, code 21" in letter.get_content()
    assert len(hook.caught) == 1 and hook.caught[0].startswith("*logical failed*\npg_dump was killed")


def test_the_same_job_slot_and_code_are_told_once(box: Path, slack: Slack, hook: Hook) -> None:
    assert notice_put(box, FAILED, now=NOON)
    assert not notice_put(box, replace(FAILED, title="again"), now=NOON + 1)
    notices_send(box, [slack], NOON + 2)
    assert not notice_put(box, FAILED, now=NOON + 3)
    for other in (replace(FAILED, code=30), replace(FAILED, slot="x"), replace(FAILED, job="physical")):
        assert notice_put(box, other, now=NOON + 4)
    notices_send(box, [slack], NOON + 5)
    assert len(hook.caught) == 4


def test_a_recovery_is_told_once_and_the_next_failure_is_news(box: Path, slack: Slack, hook: Hook) -> None:
    steps = [
        (FAILED, "logical failed"),
        (replace(GOOD, job="physical"), None),
        (replace(FAILED, slot="2027-01-16"), "logical failed"),
        (GOOD, "logical works again"),
        (GOOD, None),
        (replace(GOOD, slot="2027-01-17"), None),
        (replace(FAILED, slot="2027-01-16"), "logical failed"),
        (replace(FAILED, slot="2027-01-16"), None),
        (replace(GOOD, slot="2027-01-18"), "logical works again"),
    ]
    for number, (notice, expected) in enumerate(steps):
        hook.caught.clear()
        moment = NOON - 8 * HOUR + number  # before the hour of the digest
        notice_put(box, notice, now=moment)
        notices_send(box, [slack], moment)
        assert [text.split("*")[1] for text in hook.caught] == ([expected] if expected else []), number


def test_what_is_not_urgent_comes_in_one_digest_a_day(box: Path, mail: Mail, inbox: Inbox) -> None:
    midnight = NOON - 12 * HOUR
    for job in ("logical", "physical"):
        notice_put(box, replace(GOOD, job=job, title=f"{job} is done"), now=midnight + HOUR)
    assert notices_send(box, [mail], midnight + 5 * HOUR) == Sent()
    assert notices_send(box, [mail], midnight + 6 * HOUR) == Sent(1)
    text = inbox.letters[0].get_content()
    assert "- logical is done" in text and "- physical is done" in text
    notice_put(box, replace(GOOD, job="verify"), now=midnight + 7 * HOUR)
    assert notices_send(box, [mail], midnight + 23 * HOUR) == Sent()
    assert notices_send(box, [mail], midnight + 30 * HOUR) == Sent(1)
    assert len(inbox.letters) == 2 and "physical" not in inbox.letters[1].get_content()
    assert notices_send(box, [mail], midnight + 54 * HOUR) == Sent()


def test_a_dead_channel_holds_up_neither_the_other_nor_the_job(
    box: Path, slack: Slack, hook: Hook, inbox: Inbox, mail: Mail
) -> None:
    dead = mail_to(free_port())
    notice_put(box, FAILED, now=NOON)
    notice_put(box, replace(FAILED, code=30), now=NOON)
    sent = notices_send(box, [dead, slack], NOON)
    assert (sent.delivered, sent.waiting, sent.problems) == (
        2,
        2,
        ("mail: ConnectionRefusedError: Connection refused",),
    )
    assert notices_send(box, [mail, slack], NOON + 59).delivered == 1  # only the one that was not tried yet
    assert notices_send(box, [mail, slack], NOON + 60) == Sent(1)
    assert len(hook.caught) == len(inbox.letters) == 2


def test_waits_grow_and_end_after_a_day(box: Path, slack: Slack, hook: Hook) -> None:
    hook.answers = [500] * 100
    notice_put(box, FAILED, now=NOON)
    tries, given_up = [], 0
    for minute in range(26 * 60):
        left = len(hook.answers)
        given_up += notices_send(box, [slack], NOON + minute * 60).given_up
        if len(hook.answers) < left:
            tries.append(minute)
    assert tries[:8] == [0, 1, 3, 7, 15, 31, 63, 123]
    assert tries[-1] == 1443 or tries[-1] < 1440 + 60
    assert given_up == 1 and len(tries) < 32
    hook.answers = []
    assert notices_send(box, [slack], NOON + 27 * HOUR) == Sent() and hook.caught == []


def test_a_host_that_was_off_for_days_still_tells(box: Path, slack: Slack, hook: Hook) -> None:
    notice_put(box, FAILED, now=NOON)
    hook.answers = [500]
    assert notices_send(box, [slack], NOON + 72 * HOUR).waiting == 1
    assert notices_send(box, [slack], NOON + 73 * HOUR) == Sent(1)


@pytest.mark.parametrize("value", ["7200", "Fri, 15 Jan 2027 14:00:00 GMT"])
def test_retry_after_is_kept_for_the_whole_channel(box: Path, slack: Slack, hook: Hook, value: str) -> None:
    hook.answers = [(429, {"Retry-After": value})]
    notice_put(box, FAILED, now=NOON)
    assert notices_send(box, [slack], NOON).problems == ("slack: the webhook answered 429",)
    notice_put(box, replace(FAILED, code=30), now=NOON + 1)
    assert notices_send(box, [slack], NOON + 2 * HOUR - 1) == Sent(waiting=2)
    assert notices_send(box, [slack], NOON + 2 * HOUR) == Sent(2)


def test_a_message_that_is_refused_does_not_hold_up_the_next(box: Path, slack: Slack, hook: Hook) -> None:
    hook.answers = [400]
    notice_put(box, FAILED, now=NOON)
    notice_put(box, replace(FAILED, code=30), now=NOON + 1)
    assert notices_send(box, [slack], NOON + 2) == Sent(1, 1, 0, ("slack: the webhook answered 400",))


def test_a_channel_that_hangs_costs_one_timeout(
    box: Path, slack: Slack, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "TIMEOUT_SECONDS", 0.3)
    hook.answers = ["hang", "hang", "hang"]
    for code in (20, 21, 30):
        notice_put(box, replace(FAILED, code=code), now=NOON)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        sent = notices_send(box, [slack, mail_to(silent.getsockname()[1])], NOON)
        assert time.monotonic() - started < 3
    assert sent == Sent(0, 3, 0, ("slack: TimeoutError", "mail: SMTPServerDisconnected"))


def test_a_channel_without_timeouts_is_left_after_a_while() -> None:
    class Drip:
        name = "drip"

        def send(self, message: Message, now: float) -> None:
            threading.Event().wait(5)

    with pytest.raises(Undelivered, match=r"no end within 0\.1 s"):
        send_bounded(Drip(), Message("1", "t", "x"), NOON, 0.1)


def test_nothing_that_a_channel_does_is_raised(box: Path, slack: Slack, tmp_path: Path) -> None:
    class Broken:
        name = "broken"

        def send(self, message: Message, now: float) -> None:
            raise SystemExit("password=abcdefgh")

    notice_put(box, FAILED, now=NOON)
    (box / "0.json").write_text("torn")
    (box / ".holds").write_text("[1, 2]")
    sent = notices_send(box, [Broken()], NOON)
    assert sent.waiting == 1 and sent.problems == (f"{box}/0.json is no notice: JSONDecodeError", "broken: SystemExit")
    (tmp_path / "file").write_text("")
    assert notices_send(tmp_path / "file", [slack], NOON) == Sent()
    assert notices_send(tmp_path / "missing", [slack], NOON) == Sent()
    with pytest.raises(BackupError) as caught:
        notice_put(tmp_path / "file", FAILED)
    assert caught.value.code == Code.UNDELIVERED


def test_a_full_disk_sends_nothing_rather_than_the_same_again(
    box: Path, slack: Slack, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pasargad_ops.backup import notices

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    notice_put(box, FAILED, now=NOON)
    with monkeypatch.context() as patch:
        patch.setattr(notices, "write_json", full)
        sent = notices_send(box, [slack], NOON)
    assert sent.problems[0].endswith("No space left on device") and hook.caught == []
    assert notices_send(box, [slack], NOON + 1) == Sent(1)


def test_the_webhook_and_secrets_are_in_no_file_problem_or_text(
    box: Path, slack: Slack, hook: Hook, tmp_path: Path
) -> None:
    notice_put(box, replace(FAILED, title="token=abcdef99", lines=("postgres://u:hunter22@h/d",)), now=NOON)
    told: list[str] = []
    for url in (
        hook.url.replace("http", "ftp"),
        "http://example.org/" + SECRET,
        SECRET,
        f"http://127.0.0.1:1/{SECRET}",
    ):
        (tmp_path / "webhook").write_text(url)
        told.append(str(notices_send(box, [slack], NOON + HOUR * len(told))))
    assert ["holds no https address" in text for text in told] == [True, True, True, False]
    (tmp_path / "webhook").write_text(hook.url)
    hook.answers = [500, (302, {"Location": "/elsewhere"})]
    told += [str(notices_send(box, [slack], NOON + HOUR * number)) for number in (5, 6, 7)]
    assert "answered 302" in told[-2] and len(hook.caught) == 1
    kept = "".join(path.read_text() for path in box.iterdir()) + hook.caught[0] + "".join(told) + repr(slack)
    assert not [word for word in (SECRET, "abcdef99", "hunter22") if word in kept]
    assert {oct(path.stat().st_mode & 0o077) for path in box.glob("*.json")} == {"0o0"}


def test_words_cannot_call_people_or_forge_headers(
    box: Path, slack: Slack, mail: Mail, hook: Hook, inbox: Inbox
) -> None:
    notice_put(box, replace(FAILED, title="a\r\nBcc: x@y.z\n<!channel> & b"), now=NOON)
    assert notices_send(box, [slack, mail], NOON) == Sent(2)
    assert hook.caught[0].startswith("*a Bcc: x@y.z &lt;!channel&gt; &amp; b*")
    assert inbox.letters[0]["Bcc"] is None


def test_a_kill_between_sending_and_noting_sends_again_under_the_same_number(
    box: Path, mail: Mail, inbox: Inbox
) -> None:
    script = (
        "import os, sys; from pathlib import Path; from pasargad_ops.backup import notices\n"
        "from pasargad_ops.backup.channels import Mail\n"
        "send = notices.send_bounded\n"
        "def die(*a):\n    send(*a); os.kill(os.getpid(), 9)\n"
        "notices.send_bounded = die\n"
        f"notices.notices_send(Path({str(box)!r}), [{mail!r}], {NOON})"
    )
    notice_put(box, FAILED, now=NOON)
    env = {**os.environ, "PYTHONPATH": "module_utils"}
    assert subprocess.run([sys.executable, "-c", script], env=env, check=False).returncode == -signal.SIGKILL
    assert notices_send(box, [mail], NOON + 30) == Sent(waiting=1)
    assert notices_send(box, [mail], NOON + 60) == Sent(1)
    assert len(inbox.letters) == 2 and len({letter["Message-ID"] for letter in inbox.letters}) == 1


def test_a_digest_that_was_killed_half_way_tells_each_notice_once(
    box: Path, mail: Mail, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pasargad_ops.backup import notices

    for job in "abc":
        notice_put(box, replace(GOOD, job=job, title=f"{job} is done"), now=NOON - HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(notices._Entry, "save", lambda _: os.fsync(-1))
        assert notices_send(box, [mail], NOON).problems
    notice_put(box, replace(GOOD, job="d", title="d is done"), now=NOON + 1)
    assert notices_send(box, [mail], NOON + 2) == Sent(1)
    assert notices_send(box, [mail], NOON + 24 * HOUR) == Sent(1)
    said = "".join(letter["Subject"] + letter.get_content() for letter in inbox.letters)
    assert [said.count(f"- {job} is done") for job in "abcd"] == [1, 1, 1, 1]


def test_two_senders_at_once_deliver_once(box: Path, slack: Slack, hook: Hook) -> None:
    for code in range(8):
        notice_put(box, replace(FAILED, code=code), now=NOON)
    threads = [threading.Thread(target=notices_send, args=(box, [slack], NOON)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notices_send(box, [slack], NOON)
    assert len(hook.caught) == 8


def test_mail_goes_through_starttls_or_not_at_all(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *subject, "-days", "2"], capture_output=True, check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    inbox = Inbox()

    class Tls(Controller):
        def factory(self) -> SMTP:
            return SMTP(self.handler, hostname="localhost", tls_context=context)

    for controller, works in (
        (Tls(inbox, "127.0.0.1", free_port()), True),
        (Controller(inbox, "127.0.0.1", free_port()), False),
    ):
        controller.start()
        try:
            mail = replace(mail_to(controller.port), host="localhost", starttls=True, ca_file=certificate)
            message = Message("1", "t", "x")
            if works:
                mail.send(message, NOON)
                with pytest.raises(Undelivered, match="SSLCertVerificationError"):
                    replace(mail, ca_file=None).send(message, NOON)
            else:
                with pytest.raises(Undelivered, match="SMTPNotSupportedError"):
                    mail.send(message, NOON)
        finally:
            controller.stop()
    assert inbox.tls == [True]
    with pytest.raises(Undelivered, match="over TLS only"):
        Mail("relay.test", 25, "a@b", ("c@d",), starttls=False, user="u").send(Message("1", "t", "x"), NOON)


@pytest.mark.parametrize(("answer", "down"), [("451 later", True), ("554 no", False)])
def test_a_relay_that_refuses_is_told_by_its_code(mail: Mail, inbox: Inbox, answer: str, down: bool) -> None:
    inbox.answers = [answer]
    with pytest.raises(Undelivered, match=f"the relay answered {answer[:3]}") as caught:
        mail.send(Message("1", "t", "x"), NOON)
    assert caught.value.down is down


def test_old_notices_are_forgotten_and_a_clock_set_back_delays_nothing(box: Path, slack: Slack, hook: Hook) -> None:
    hook.answers = [500]
    notice_put(box, FAILED, now=NOON + 100 * HOUR)
    notices_send(box, [slack], NOON + 100 * HOUR)
    assert notices_send(box, [slack], NOON) == Sent(1)
    notices_send(box, [slack], NOON + 100 * HOUR + 31 * 24 * HOUR)
    assert list(box.glob("*.json")) == []


def channels_have_one_shape() -> tuple[Channel, ...]:
    """Let the type checker see that both are channels."""
    return Slack(Path("x")), mail_to(1)
