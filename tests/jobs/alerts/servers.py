"""Small servers on this machine that keep what they are sent."""

import json
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace


@contextmanager
def _served(server):
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def web_server(*answers, wait=None):
    """Answers with the given codes, then with 200; `wait` is an event it waits for first."""
    kept = SimpleNamespace(requests=[], answers=list(answers), url="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            if wait is not None:
                wait.wait(10)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            self.send_header("Location", kept.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/T0P-S3CRET"
        with _served(server):
            yield kept


@contextmanager
def mail_server(refuse=None, tls=None):
    """Takes mail; `refuse` are answers by the first word of a command; `tls` is an SSL context."""
    kept = SimpleNamespace(letters=[], commands=[], port=0)
    refuse = dict(refuse or {})

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self._say(b"220 here")
            while line := self.rfile.readline():
                kept.commands.append(line.decode().strip())
                word = line.split()[0].upper().decode()
                if word in refuse:
                    self._say(refuse[word])
                elif word == "DATA":
                    self._say(b"354 go on")
                    self._take()
                    self._say(b"250 taken")
                elif word == "EHLO":
                    self._say(b"250-here\r\n250-AUTH PLAIN\r\n250 STARTTLS" if tls else b"250 here")
                elif word == "STARTTLS" and tls:
                    self._say(b"220 go on")
                    self._encrypt()
                elif word == "AUTH":
                    self._say(b"235 well")
                elif word == "QUIT":
                    self._say(b"221 bye")
                    return
                else:
                    self._say(b"250 well")

        def _say(self, text):
            self.wfile.write(text + b"\r\n")

        def _encrypt(self):
            try:
                self.connection = tls.wrap_socket(self.connection, server_side=True)
            except OSError:  # the client does not trust it
                return
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)

        def _take(self):
            lines = []
            while (line := self.rfile.readline()) != b".\r\n":
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            kept.letters.append(b"".join(lines))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        kept.port = server.server_address[1]
        with _served(server):
            yield kept
