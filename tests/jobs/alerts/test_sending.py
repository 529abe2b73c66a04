"""Laws of sending: each place has a message once, and no secret leaves its variable."""

import base64
import email
import email.policy
import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from anomdiff.jobs.alerts import program, sending, web
from anomdiff.jobs.alerts.alert_settings import AlertSettings
from anomdiff.jobs.alerts.sending import send
from anomdiff.jobs.alerts.texts import plain_text, slack_message
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.runs import retries
from tests.jobs.alerts.servers import mail_server, web_server

MESSAGE = {
    "id": "0" * 32,
    "batch_date": "2026-01-31",
    "model": {"uri": "models:/anomdiff/7", "version": "7"},
    "rows": 10,
    "alarms": 1,
    "alarms_expected": 0.1,
    "new": 1,
    "cases": [{"name": "id ü<1>", "severity": 90.0, "sentence": ".\nbegins with a dot & more"}],
    "warnings": [],
    "report": "https://reports/1",
    "subject": "2026-01-31: 1 new alarm",
}
SECRET = "S3CRET"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Wait for nothing long; no proxy stands between."""
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(web, "TIMEOUT", 5.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def mail_settings(port, **given):
    asked = {
        "host": "127.0.0.1",
        "port": port,
        "sender": "night@x.org",
        "recipients": ["a@x.org", "b@x.org"],
        "starttls": False,
        **given,
    }
    return AlertSettings(email=asked)


def unused_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize("place", ["webhook", "slack"])
def test_a_web_address_is_sent_the_message_once(tmp_path, monkeypatch, place):
    with web_server() as server:
        monkeypatch.setenv("HOOK", server.url)
        alert = AlertSettings(**{f"{place}_env": "HOOK"})

        failed = [send(alert, MESSAGE, tmp_path / "mark.json", 0) for _ in range(3)]

    assert failed == [[], [], []]
    [(path, headers, body)] = server.requests
    assert path == "/hooks/T0P-S3CRET"
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == MESSAGE["id"]
    assert body == (MESSAGE if place == "webhook" else slack_message(MESSAGE))
    mark = json.loads((tmp_path / "mark.json").read_text())
    assert mark == {"batch_date": "2026-01-31", "sent": {place: MESSAGE["id"]}}


def test_another_message_is_sent(tmp_path, monkeypatch):
    with web_server() as server:
        monkeypatch.setenv("HOOK", server.url)
        for identity in "aabb":
            send(AlertSettings(webhook_env="HOOK"), {**MESSAGE, "id": identity}, tmp_path / "m", 0)

    assert [body["id"] for _, _, body in server.requests] == ["a", "b"]


def test_mail_reaches_all_recipients_as_it_is(tmp_path):
    with mail_server() as server:
        assert send(mail_settings(server.port), MESSAGE, tmp_path / "mark.json", 0) == []

    [raw] = server.letters
    letter = email.message_from_bytes(raw, policy=email.policy.default)
    assert letter["Subject"] == "anomdiff 2026-01-31: 1 new alarm"
    assert (letter["From"], letter["To"]) == ("night@x.org", "a@x.org, b@x.org")
    assert letter["Message-ID"] == f"<{MESSAGE['id']}@anomdiff>"
    assert letter.get_content().replace("\r\n", "\n") == plain_text(MESSAGE)
    assert [line for line in server.commands if line.upper().startswith("RCPT")] == [
        "rcpt TO:<a@x.org>",
        "rcpt TO:<b@x.org>",
    ]


def test_a_program_reads_the_message_without_a_shell(tmp_path):
    out = tmp_path / "$(touch x)"
    alert = AlertSettings(command=["tee", str(out)])

    assert send(alert, MESSAGE, tmp_path / "mark.json", 0) == []
    assert json.loads(out.read_text()) == MESSAGE


@pytest.mark.parametrize(
    ("answers", "n_retries", "n_requests", "sent"),
    [
        ([500, 503], 2, 3, True),
        ([429], 1, 2, True),
        ([500, 500], 1, 2, False),
        ([404], 3, 1, False),
        ([403], 3, 1, False),
        ([302], 3, 1, False),
        ([307], 3, 1, False),
    ],
)
def test_only_what_may_pass_is_tried_again(
    tmp_path, monkeypatch, caplog, answers, n_retries, n_requests, sent
):
    with web_server(*answers) as server:
        monkeypatch.setenv("HOOK", server.url)
        alert = AlertSettings(webhook_env="HOOK")

        failed = send(alert, MESSAGE, tmp_path / "mark.json", n_retries)

    assert failed == ([] if sent else ["webhook"])
    assert len(server.requests) == n_requests
    assert (tmp_path / "mark.json").exists() == sent
    assert SECRET not in caplog.text
    assert sent or str(answers[0]) in caplog.text


@pytest.mark.parametrize("place", ["webhook", "email"])
def test_a_server_that_is_not_there_is_a_warning_without_its_secret(
    tmp_path, monkeypatch, caplog, place
):
    port = unused_port()
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:{port}/{SECRET}")
    alert = AlertSettings(webhook_env="HOOK") if place == "webhook" else mail_settings(port)

    assert send(alert, MESSAGE, tmp_path / "mark.json", 1) == [place]
    assert "does not answer: Connection refused" in caplog.text
    assert "Trying again" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "text", ["http://[S3CRET", "http://x y/S3CRET", "http://127.0.0.1:S3CRET/"]
)
def test_an_address_that_is_none_is_a_warning_without_its_secret(
    tmp_path, monkeypatch, caplog, text
):
    monkeypatch.setenv("HOOK", text)

    failed = send(AlertSettings(webhook_env="HOOK"), MESSAGE, tmp_path / "mark.json", 0)

    assert failed == ["webhook"]
    assert SECRET not in caplog.text


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(web, "TIMEOUT", 0.1)
    never = threading.Event()
    with web_server(wait=never) as server:
        monkeypatch.setenv("HOOK", server.url)
        failed = send(AlertSettings(webhook_env="HOOK"), MESSAGE, tmp_path / "mark.json", 0)
        never.set()

    assert failed == ["webhook"]
    assert "no answer in time" in caplog.text


def test_one_place_that_fails_keeps_no_other_from_the_message(tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    with web_server(404) as server:
        monkeypatch.setenv("HOOK", server.url)
        alert = AlertSettings(webhook_env="HOOK", command=["tee", "-a", str(out)])

        first = send(alert, MESSAGE, tmp_path / "mark.json", 0)
        second = send(alert, MESSAGE, tmp_path / "mark.json", 0)

    assert (first, second) == (["webhook"], [])
    assert len(server.requests) == 2
    assert len(out.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("refuse", "tries", "failed"),
    [
        ({"RCPT": b"550 no"}, 1, True),
        ({"RCPT": b"451 later"}, 2, True),
        ({"DATA": b"554 no"}, 1, True),
        ({"QUIT": b"421 bye"}, 1, False),
    ],
)
def test_what_a_mail_server_refuses_is_told_by_its_code(tmp_path, caplog, refuse, tries, failed):
    with mail_server(refuse) as server:
        found = send(mail_settings(server.port), MESSAGE, tmp_path / "mark.json", 1)

    assert found == (["email"] if failed else [])
    assert sum(line.upper().startswith("MAIL") for line in server.commands) == tries
    code = next(iter(refuse.values())).split()[0].decode()
    assert not failed or f"answers {code}" in caplog.text


def test_no_password_goes_to_a_server_without_encryption(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    with mail_server() as server:
        alert = mail_settings(server.port, starttls=True, user="me", password_env="MAIL_PASSWORD")
        assert send(alert, MESSAGE, tmp_path / "mark.json", 0) == ["email"]

    assert server.letters == []
    assert not any(SECRET in line or line.upper().startswith("AUTH") for line in server.commands)
    assert SECRET not in caplog.text


@pytest.fixture
def certificate(tmp_path):
    """A certificate of this machine that it has signed itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    signed = builder.add_extension(addresses, critical=False).sign(key, hashes.SHA256())
    path = tmp_path / "certificate.pem"
    secret_key = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret_key + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("trusted", [True, False])
def test_a_password_goes_to_a_trusted_server_only(
    tmp_path, monkeypatch, caplog, certificate, trusted
):
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with mail_server(tls=context) as server:
        alert = mail_settings(server.port, starttls=True, user="me", password_env="MAIL_PASSWORD")
        failed = send(alert, MESSAGE, tmp_path / "mark.json", 0)

    logins = [line.split()[-1] for line in server.commands if line.startswith("AUTH PLAIN")]
    assert failed == ([] if trusted else ["email"])
    assert len(server.letters) == trusted
    assert [base64.b64decode(each) for each in logins] == [b"\0me\0S3CRET"] * trusted
    assert (
        SECRET not in caplog.text + (tmp_path / "mark.json").read_text() * trusted
        if trusted
        else SECRET not in caplog.text
    )


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["sh", "-c", f"echo {SECRET} >&2; exit 3"], "need the command sh to end with 0; got 3"),
        (["sh", "-c", "exit 75"], "says to try again"),
        (["no-such-program", SECRET], "need a program to run as the command no-such-program"),
        (["sleep", "60"], "has not ended in 0.2 s"),
    ],
)
def test_a_program_that_fails_is_a_warning(tmp_path, monkeypatch, caplog, command, told):
    monkeypatch.setattr(program, "LONGEST_RUN", 0.2 if command[0] == "sleep" else 20.0)

    assert send(AlertSettings(command=command), MESSAGE, tmp_path / "mark.json", 0) == ["command"]
    assert told in caplog.text
    assert SECRET not in caplog.text


def test_a_mark_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch, caplog):
    def full(path, values):
        raise OSError("the disk is full")

    monkeypatch.setattr(sending, "write_json", full)

    assert send(AlertSettings(command=["true"]), MESSAGE, tmp_path / "mark.json", 0) == []
    assert "the message was sent, but not written down: the disk is full" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [None, "", "ftp://x/S3CRET", "S3CRET"])
def test_addresses_are_asked_for_beforehand(monkeypatch, value):
    monkeypatch.delenv("HOOK", raising=False)
    if value is not None:
        monkeypatch.setenv("HOOK", value)

    with pytest.raises(SettingsError, match="environment variable HOOK") as error:
        AlertSettings(slack_env="HOOK").require_secrets()

    assert SECRET not in str(error.value)
