"""Records the terminal pictures of docs/pictures: `make pictures` runs it, on the machine that pam-pictures (tests/host) makes.

    record.py FOLDER

Each program runs on a terminal of its own. A script types into it, and waits for what it shows. The time of the film is
counted here: how long a program really takes does not show, and nothing sleeps. termtosvg draws the frames.
"""

import fcntl
import os
import pty
import pwd
import select
import struct
import sys
import termios
import time
from collections import namedtuple

import pyte
from lxml import etree
from termtosvg import anim

# Seconds until a recording fails: more than any of these programs needs.
PATIENCE = 60
# Milliseconds of film.
KEYS, GLANCE, LINE, READ = 110, 600, 1400, 2600
# Characters that appear at once while somebody types: fewer frames make a smaller file.
AT_ONCE = 3

# Where letters stand in a line: not each viewer knows dominant-baseline, by which termtosvg places them.
BASELINE = 13
# DejaVu Sans Mono is then as wide as termtosvg's cells; other fonts are stretched, where a viewer can do that.
FONT_SIZE = "13.3px"
FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

TEMPLATE = os.path.join(os.path.dirname(__file__), "template.svg")

Frame = namedtuple("Frame", "time duration buffer")


class Terminal:
    """A program, its terminal, and what stands there."""

    def __init__(self, columns, rows, command, environment, user=None):
        self.columns = columns
        self.rows = rows
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        # What the program has written, but no frame shows yet.
        self.unseen = b""
        account = pwd.getpwnam(user) if user else None
        process, self.master = pty.fork()
        if process == 0:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            if account:
                os.fchown(0, account.pw_uid, account.pw_gid)
                os.setgroups([])
                os.setresgid(*3 * (account.pw_gid,))
                os.setresuid(*3 * (account.pw_uid,))
                os.chdir(account.pw_dir)
                environment = {"HOME": account.pw_dir, "USER": user, **environment}
            path = os.environ["TOOLS"] + ":/usr/sbin:/usr/bin:/sbin:/bin"
            module = os.environ["PAM_ONELOGIN_MODULE"]
            os.execvpe(command[0], command, {
                "TERM": "xterm", "LC_ALL": "C.UTF-8", "PATH": path, "PAM_ONELOGIN_MODULE": module, **environment})

    def before_cursor(self):
        line = self.screen.buffer[self.screen.cursor.y]
        return "".join(line[column].data for column in range(self.screen.cursor.x))

    def read(self, seconds):
        """Reads what there is, after waiting for it; whether there was something."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            text = os.read(self.master, 4096)
        except OSError:
            text = b""
        self.unseen += text
        return text != b""

    def until(self, text):
        """Waits until the cursor stands behind the text."""
        end = time.monotonic() + PATIENCE
        while not self.before_cursor().endswith(text):
            if not self.unseen and not self.read(max(0, end - time.monotonic())):
                shown = "\n".join(self.screen.display)
                sys.exit("record.py: {!r} does not come; the terminal shows\n{}".format(text, shown))
            # One by one: what stands behind the text may be for a later frame.
            self.stream.feed(self.unseen[:1])
            self.unseen = self.unseen[1:]

    def catch_up(self):
        """Shows all that there is."""
        while self.read(0):
            pass
        self.stream.feed(self.unseen)
        self.unseen = b""

    def cells(self, row, has_cursor):
        line = {column: self.screen.buffer[row][column] for column in range(self.columns)}
        if has_cursor and row == self.screen.cursor.y:
            column = min(self.screen.cursor.x, self.columns - 1)
            line[column] = line[column]._replace(reverse=True)
        seen = [column for column, cell in line.items() if cell.data != " " or cell.reverse or cell.bg != "default"]
        return {column: anim.CharacterCell.from_pyte(line[column]) for column in range(max(seen, default=-1) + 1)}


class Phone:
    """A pane that shows what reaches the phone."""

    def __init__(self):
        self.rows = 2
        self.lines = []

    def catch_up(self):
        pass

    def cells(self, row, _has_cursor):
        line = self.lines[row] if row < len(self.lines) else ""
        return plain(line)


class Film:
    """Panes below each other, each with a heading, and the frames that were taken of them."""

    def __init__(self, columns, title, description):
        self.columns = columns
        self.title = title
        self.description = description
        self.panes = []
        self.frames = []
        self.key = 0
        self.active = None

    def pane(self, heading, content):
        self.panes.append((heading, content))
        return content

    def rows(self):
        return sum(content.rows + 2 for _, content in self.panes) - 1

    def take(self, duration):
        """A frame of what stands there now."""
        buffer = {}
        row = 0
        for heading, content in self.panes:
            if content is not self.active:
                content.catch_up()
            buffer[row] = plain(" " + heading.ljust(self.columns - 1), color="color15", background="color4")
            for inner in range(content.rows):
                cells = content.cells(inner, content is self.active)
                if cells:
                    buffer[row + 1 + inner] = cells
            row += content.rows + 2
        last = self.frames[-1] if self.frames else Frame(0, 0, None)
        if buffer == last.buffer:
            self.frames[-1] = last._replace(duration=last.duration + duration)
        else:
            self.frames.append(Frame(last.time + last.duration, duration, buffer))

    def key_frame(self):
        """The last frame is the one to show where nothing moves."""
        self.key = len(self.frames) - 1

    def prompt(self, terminal, text, duration=LINE):
        terminal.until(text)
        self.active = terminal
        self.take(duration)

    def type(self, terminal, text, duration=GLANCE):
        """Types a text, then Enter."""
        self.active = terminal
        for start in range(0, len(text), AT_ONCE):
            keys = text[start:start + AT_ONCE]
            os.write(terminal.master, keys.encode())
            terminal.until(keys)
            self.take(KEYS)
        self.take(duration)
        os.write(terminal.master, b"\n")

    def write(self, path):
        with open(TEMPLATE, "rb") as file:
            template = file.read()
        anim.render_animation(self.frames, (self.columns, self.rows()), path, template)
        tree = etree.parse(path)
        svg = {"svg": anim.SVG_NS}
        tree.find(".//svg:title", svg).text = self.title
        tree.find(".//svg:desc", svg).text = self.description
        # Only termtosvg reads it.
        settings = tree.find(".//{%s}template_settings" % anim.TERMTOSVG_NS)
        settings.getparent().remove(settings)
        # Counts where the animation does not: in a viewer without it, and for people who want no motion.
        height = self.rows() + anim.FRAME_CELL_SPACING
        offset = self.key * (height + height % 2) * anim.CELL_HEIGHT
        view = tree.find(".//svg:g[@id='screen_view']", svg)
        view.set("transform", "translate(0,-{})".format(offset))
        for text in tree.iterfind(".//svg:text", svg):
            text.set("y", str(BASELINE))
        style = tree.find(".//svg:style[@id='generated-style']", svg)
        lines = style.text.replace("'DejaVu Sans Mono', monospace", FONTS).replace("14px", FONT_SIZE).splitlines()
        lines = [line.strip() for line in lines if "dominant-baseline" not in line]
        lines.append("@media (prefers-reduced-motion: reduce) {#screen_view {animation: none;}}")
        style.text = etree.CDATA("\n".join(filter(None, lines)))
        etree.cleanup_namespaces(tree)
        tree.write(path, encoding="utf-8", xml_declaration=True)
        seconds = (self.frames[-1].time + self.frames[-1].duration) / 1000
        print("{}: {} frames, {:.0f} seconds, {} bytes".format(path, len(self.frames), seconds, os.path.getsize(path)),
              file=sys.stderr)


def plain(text, color="foreground", background="background"):
    return {column: anim.CharacterCell(character, color, background) for column, character in enumerate(text)}


def shell(columns, rows, prompt, user=None):
    """A shell with this prompt."""
    terminal = Terminal(columns, rows, ["sh", "-i"], {"PS1": prompt}, user)
    terminal.until(prompt)
    return terminal


def demo():
    film = Film(104, "make demo: a login in a terminal, with a simulated OneLogin",
                "After the password, the module shows a menu. The user chooses the push, approves it on the phone, presses Enter, and is logged in.")
    prompt = "$ "
    window = film.pane("make demo: a login in this terminal, with a simulated OneLogin. It needs no root.",
                       shell(104, 26, prompt, "alice"))
    # What the target does, without the compiler.
    os.write(window.master, b"make() { pam-demo; }; clear\n")
    window.until("clear")
    film.prompt(window, prompt)
    film.type(window, "make demo")
    film.prompt(window, "Password: ", READ)
    film.type(window, "demo")
    film.prompt(window, "(1-3): ", READ)
    film.type(window, "1")
    film.prompt(window, "(or type a code): ", READ)
    film.type(window, "!approve")
    window.until("approved")
    film.prompt(window, "(or type a code): ")
    film.type(window, "")
    film.prompt(window, prompt, 3 * READ)
    film.key_frame()
    return film


def enable():
    film = Film(104, "pam-onelogin enable sshd: the change is tried before it stays",
                "Root enables OneLogin for sshd, for a trial of five minutes. In a second window alice logs in by ssh with her key "
                "and a code of OneLogin Protect. Then root types yes, and the change stays.")
    command = "pam-onelogin enable sshd --behind key --try 5m --user alice"
    root = film.pane("Window 1, root: " + command, shell(104, 27, "root@web1:~# "))
    alice = film.pane("Window 2, alice: she tests the new login while window 1 stays open",
                      shell(104, 4, "alice@laptop:~$ ", "alice"))
    film.prompt(root, "root@web1:~# ")
    film.type(root, command)
    film.prompt(root, "Alice's phone: ", 2 * READ)
    film.type(root, CODES[0])
    film.prompt(root, "[y/N] ", READ)
    film.type(root, "y")
    film.prompt(root, "unless the change is confirmed", 2 * READ)
    film.type(alice, "ssh web1")
    film.prompt(alice, "Alice's phone: ")
    film.type(alice, CODES[1])
    film.prompt(alice, "alice@web1:~$ ", READ)
    film.key_frame()
    film.type(root, "yes")
    film.prompt(root, "root@web1:~# ", 3 * READ)
    return film


def login():
    film = Film(92, "Two logins by ssh: one by push, one by code",
                "After her key, alice presses Enter, approves the push on her phone, and is logged in. The second time she types a "
                "code of OneLogin Protect instead.")
    laptop, web1 = "alice@laptop:~$ ", "alice@web1:~$ "
    window = film.pane("ssh: a key, then OneLogin", shell(92, 8, laptop, "alice"))
    phone = film.pane("Alice's phone", Phone())
    film.prompt(window, laptop)
    film.type(window, "ssh web1")
    film.prompt(window, "Alice's phone: ", READ)
    film.type(window, "")
    window.until("(or type a code): ")
    phone.lines = [sys.stdin.readline().strip()]
    film.take(READ)
    film.key_frame()
    print("approve", flush=True)
    phone.lines.append("Approved.")
    film.take(LINE)
    film.type(window, "")
    film.prompt(window, web1, READ)
    film.type(window, "exit")
    film.prompt(window, laptop)
    phone.lines = ["Code: " + CODES[2]]
    film.type(window, "ssh web1")
    film.prompt(window, "Alice's phone: ")
    film.type(window, CODES[2])
    film.prompt(window, web1, 3 * READ)
    return film


def prove():
    film = Film(104, "pam-onelogin check --prove: OneLogin must refuse a wrong code",
                "Root asks the own tenant how it behaves: a wrong code is refused, a right one accepted, a denied push refused, a "
                "code beside a push accepted, and a push without an answer ends.")
    prompt = "root@web1:~# "
    root = film.pane("root: pam-onelogin check --prove alice", shell(104, 36, prompt))
    phone = film.pane("Alice's phone", Phone())
    film.prompt(root, prompt)
    film.type(root, "pam-onelogin check --prove alice")
    phone.lines = ["Code: " + CODES[3]]
    for _ in range(2):
        film.prompt(root, "(empty line: stop): ", READ)
        film.type(root, CODES[3])
    for answer in ("deny", "code", "expire"):
        film.prompt(root, "[y/N] ", READ)
        film.type(root, "y")
        phone.lines = [sys.stdin.readline().strip()]
        film.take(LINE)
        if answer == "code":
            phone.lines.append("Code: " + CODES[4])
            film.prompt(root, "(empty line: stop): ", LINE)
            film.type(root, CODES[4])
        else:
            print(answer, flush=True)
            phone.lines.append("Denied." if answer == "deny" else "No answer.")
            film.prompt(root, "[y/n] ", LINE)
            film.type(root, "y")
    film.prompt(root, prompt, 3 * READ)
    film.key_frame()
    return film


# Of alice's phone, as pam-pictures has them.
CODES = ["492039", "718254", "305177", "640912", "227364"]

if __name__ == "__main__":
    (folder,) = sys.argv[1:]
    # The logins are through the stack that enable leaves.
    for make in (enable, login, prove, demo):
        make().write(os.path.join(folder, make.__name__ + ".svg"))
