"""A simulator to talk to, and cases that say what they expect. Shared by the programs for each version of the client."""

import base64
import hashlib
import hmac
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 10  # seconds for what must come


class Simulator:
    """The simulator program, with its sample users, in one dialect."""

    def __init__(self, program, dialect):
        self.dialect = dialect
        self.folder = tempfile.TemporaryDirectory(prefix="onelogin-clients-")
        self.ca = self.folder.name + "/ca.pem"
        self.process = subprocess.Popen(
            [program, "--dialect", dialect, "--ca-out", self.ca, "--exit-on-eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.url = self.line(r"^url +(\S+)$")
        self.client_id = self.line(r"^client id +(\S+)$")
        self.client_secret = self.line(r"^client secret +(\S+)$")
        self.port = int(self.url.rsplit(":", 1)[1])

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self, pattern):
        """What the pattern's group catches in the next line that fits."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the simulator did not print {pattern}") from None
            found = re.search(pattern, line)
            if found:
                return found.group(1) if found.groups() else line

    def command(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def approve(self):
        self.command("approve")
        return self.line(r"^approved (\S+)$")

    def deny(self):
        self.command("deny")
        return self.line(r"^denied (\S+)$")

    def expire(self):
        self.command("expire")
        self.line(r"are over$")

    def scope(self, name):
        self.command("scope " + name)
        self.line(f"^scope {name}$")

    def protect(self, listing):
        self.command("protect " + listing)
        self.line(f"^protect {listing}$")

    def message(self, user):
        """The code of the next text message or e-mail to a user."""
        return self.line(rf"to {user}: .*code is (\S+)$")

    def registration_code(self, registration):
        self.command("registrations")
        return self.line(rf"^registration {registration} .*code (\S+)$")

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.folder.cleanup()


def totp(secret):
    """The six digits of RFC 6238."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, int(time.time() // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def equal(got, wanted):
    assert got == wanted, f"got {got!r}, not {wanted!r}"


def raises(kind, call, *arguments, **named):
    """The exception of this kind that a call ends in."""
    try:
        got = call(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError(f"no {kind}, but {got!r}")


CASES = []


def case(*dialects):
    """A case, run once in each dialect with a simulator of its own."""

    def add(function):
        CASES.extend((function, dialect) for dialect in dialects)
        return function

    return add


def main(title, connect):
    """Runs the cases; `connect` makes what they get beside the simulator."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} SIMULATOR")
    failed = 0
    for function, dialect in CASES:
        name = function.__name__.replace("_", " ")
        simulator = Simulator(sys.argv[1], dialect)
        try:
            function(simulator, connect(simulator))
        except Exception as error:  # whatever it is, the other cases go on
            failed += 1
            print(f"FAILED {title}, {dialect}: {name}\n       {type(error).__name__}: {error}")
        finally:
            simulator.close()
    print(f"{title}: {len(CASES) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
