"""Getting at the terminal in which the engine runs."""

from __future__ import annotations

from pathlib import Path

from attack import Attack
from attacked_host import Host, NotHere, Ran, told

KIND = "terminal"


def _typed_for_it(host: Host, ran: Ran) -> bool:
    return host.token.encode() in host.shown


def _secret_typed(host: Host) -> None:
    host.typed = f"{host.secret}\n".encode()


def _legacy(host: Host) -> None:
    setting = Path("/proc/sys/dev/tty/legacy_tiocsti")
    if setting.exists() and setting.read_text().strip() == "0":
        raise NotHere("this kernel lets nobody type into a terminal")


TERMINAL = [
    Attack(
        "terminal-input",
        KIND,
        "keys typed into the person's terminal (TIOCSTI)",
        """
def type_in():
    fd = os.open("/dev/tty", os.O_RDWR)
    for letter in TOKEN:
        fcntl.ioctl(fd, 0x5412, letter.encode())
attempt(type_in)
attempt(lambda: [fcntl.ioctl(0, 0x5412, letter.encode()) for letter in TOKEN])
""",
        _typed_for_it,
        _legacy,
        terminal=True,
    ),
    Attack(
        "terminal-output",
        KIND,
        "something written on the person's terminal",
        'put("/dev/tty")\nattempt(os.write, 0, TOKEN.encode())',
        _typed_for_it,
        terminal=True,
    ),
    Attack(
        "terminal-listening",
        KIND,
        "what the person types at their terminal",
        """
def listen(fd):
    if select.select([fd], [], [], 1.0)[0]:
        print(os.read(fd, 4096))
attempt(lambda: listen(os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK)))
""",
        told,
        _secret_typed,
        terminal=True,
    ),
]
