"""Reading what a command has no business with. Succeeded when the planted secret comes out."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attacked_host import Host, NotHere, told

KIND = "read secrets"
REMEMBERS = """
import ctypes, sys, time
held = ctypes.create_string_buffer(os.environ.pop("HELD").encode())
os.write(READY, str(ctypes.addressof(held)).encode())
time.sleep(60)
"""


def file_at(id_: str, tries: str, place: str) -> Attack:
    """A secret in a file below the host's folder."""

    def prepare(host: Host) -> None:
        host.params["target"] = str(host.plant(host.root / place))

    return Attack(id_, KIND, tries, 'show(P["target"])', told, prepare)


def _engine_environment(host: Host) -> None:
    host.engine_has(MODEL_API_TOKEN=host.secret, AWS_SECRET_ACCESS_KEY=host.secret)


def _helper(host: Host) -> None:
    """The secret is in the environment with which the engine itself was started, and its helpers are."""
    _engine_environment(host)
    host.victim(env={"MODEL_API_TOKEN": host.secret})


def _cmdline(host: Host) -> None:
    host.victim("import time; os.write(READY, b'ready'); time.sleep(60)", host.secret)


def _open_file(host: Host) -> None:
    path = host.plant(host.root / "soon-gone")
    fd = os.open(path, os.O_RDONLY)
    path.unlink()
    host.victim(fds=(fd,))
    os.close(fd)


def _victim_cwd(host: Host) -> None:
    host.victim(cwd=host.plant(host.root / "elsewhere/secret").parent)


def _memory(host: Host) -> None:
    host.victim(REMEMBERS, env={"HELD": host.secret})
    host.params["address"] = int(host.planted["victim said"])
    host.params["size"] = len(host.secret)


def _tracing(host: Host) -> None:
    _memory(host)
    if Path("/proc/sys/kernel/yama/ptrace_scope").exists():
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
        if scope != "0":
            raise NotHere(f"the kernel lets nobody trace others (ptrace_scope {scope})")


def _journal(host: Host) -> None:
    host.params["target"] = str(host.plant(host.jetbox / "journal.db"))


def _sealing_key(host: Host) -> None:
    host.params["target"] = str(host.plant(host.home / ".local/share/jetbox/approval.key"))


def _shadow(host: Host) -> None:
    """The real file's content is compared by digest and never printed."""
    try:
        content = Path("/etc/shadow").read_bytes()
    except OSError as error:
        raise NotHere("the host itself cannot read /etc/shadow") from error
    host.secret = hashlib.sha256(host.token.encode() + content).hexdigest()


def _keyring(host: Host) -> None:
    add = 217 if os.uname().machine == "aarch64" else 248
    code = f"""
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
made = libc.syscall({add}, b"user", b"{host.token}", b"{host.secret}", {len(host.secret)}, -4)
os.write(READY, str(made).encode())
time.sleep(60)
"""
    host.victim(code)
    if int(host.planted["victim said"]) < 0:
        raise NotHere("the kernel keeps no keys here")


def _inherited(host: Host) -> None:
    host.fd(os.open(host.plant(host.root / "unlinked"), os.O_RDONLY))
    (host.root / "unlinked").unlink()


def _stdin(host: Host) -> None:
    reading, writing = os.pipe()
    before = os.dup(0)
    os.dup2(reading, 0, inheritable=True)
    host.undo.callback(os.close, before)
    host.undo.callback(os.dup2, before, 0)
    os.write(writing, f"{host.secret}\n".encode())
    os.close(reading)
    os.close(writing)


def _kernel_log(host: Host) -> None:
    try:
        Path("/dev/kmsg").write_text(f"jetbox test: {host.secret}\n")
    except OSError as error:
        raise NotHere("the host cannot write to the kernel's log") from error


def _disk(host: Host) -> None:
    device = Path("/").stat().st_dev
    for path in Path("/dev").iterdir():
        if path.is_block_device() and path.stat().st_rdev == device:
            break
    else:
        raise NotHere("the root file system lies on no block device")
    try:
        with path.open("rb") as disk:
            first = disk.read(4096)
    except OSError as error:
        raise NotHere("the host cannot read its own disk") from error
    host.params |= {"disk": str(path), "device": device}
    host.secret = hashlib.sha256(host.token.encode() + first).hexdigest()


def _handle(host: Host) -> None:
    """A file's handle, which a program could guess, opens it without its path."""
    path = host.plant(host.root / "handled")
    libc, buffer, mount = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(136), ctypes.c_int()
    struct.pack_into("I", buffer, 0, 128)
    if libc.name_to_handle_at(-100, os.fsencode(path), buffer, ctypes.byref(mount), 0) < 0:
        raise NotHere("the file system gives no handles")
    host.params["handle"] = buffer.raw.hex()


def _temporary(host: Host) -> None:
    path = Path("/tmp") / host.token
    host.plant(path)
    path.chmod(0o666)
    host.undo.callback(path.unlink, missing_ok=True)
    host.params["target"] = str(path)


def _run_folder(host: Host) -> None:
    path = Path("/run") / host.token
    try:
        host.plant(path)
    except OSError as error:
        raise NotHere("the host cannot write to /run") from error
    host.undo.callback(path.unlink, missing_ok=True)
    host.params["target"] = str(path)


def _linked(host: Host) -> None:
    host.params["target"] = str(host.plant(host.root / "linked"))


def _answering(path: str) -> Callable[[Host], None]:
    """A socket of the desktop's that hands its secret to whoever connects."""

    def prepare(host: Host) -> None:
        address = path.format(root=host.root, token=host.token)
        if not address.startswith("\0"):
            Path(address).parent.mkdir(parents=True)
            host.undo.callback(shutil.rmtree, Path(address).parent, ignore_errors=True)
            host.engine_has(SSH_AUTH_SOCK=address)
        host.listen(socket.AF_UNIX, socket.SOCK_STREAM, address, answer=host.secret.encode())
        host.params["address"] = address

    return prepare


CONNECT = """
def connect():
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(P["address"])
    peer.sendall(TOKEN.encode())
    print(peer.recv(4096))
attempt(connect)
"""


def _socket(id_: str, tries: str, path: str) -> Attack:
    return Attack(id_, KIND, tries, CONNECT, told, _answering(path))


def _ignore(*_: object) -> None:
    """For a lambda that plants more than one thing."""


SECRETS = [
    file_at("ssh-key", "the user's private key in ~/.ssh", "home/.ssh/id_ed25519"),
    file_at("cloud-credentials", "credentials in ~/.aws", "home/.aws/credentials"),
    file_at("netrc", "passwords in ~/.netrc", "home/.netrc"),
    file_at("git-credentials", "tokens in ~/.git-credentials", "home/.git-credentials"),
    file_at("browser-profile", "cookies in ~/.config", "home/.config/browser/Default/Cookies"),
    file_at("shell-history", "~/.bash_history", "home/.bash_history"),
    file_at("user-settings", "Jetbox's settings of the user", "home/.config/jetbox/config.yaml"),
    file_at("other-worktree", "another ticket's unfinished work", "project/.jetbox/worktrees/T-2-1/work.txt"),
    file_at("checkout", "unfinished work in the user's own checkout", "project/.env"),
    file_at("blobs", "outputs of other tickets among the blobs", "project/.jetbox/blobs/ab/cdef"),
    file_at("other-project", "another project beside this one", "another/.env"),
    Attack(
        "home-walk",
        KIND,
        "every file below the user's home, through its folders",
        """
for at, _, files in os.walk(P["home"]):
    for name in files:
        show(os.path.join(at, name))
""",
        told,
        lambda host: _ignore(host.plant(host.home / "notes/private/plan.txt")),
    ),
    Attack("journal", KIND, "the journal", 'show(P["target"])', told, _journal),
    Attack(
        "sealing-key", KIND, "the key that approvals are sealed with", 'show(P["target"])', told, _sealing_key
    ),
    Attack("git-config-token", KIND, "a token in .git/config", 'show(P["git"] + "/config")', told),
    Attack(
        "git-remote",
        KIND,
        "the same token, by asking git",
        'print(subprocess.run(["git", "config", "--get", "remote.origin.url"], capture_output=True))',
        told,
    ),
    Attack(
        "engine-environment",
        KIND,
        "tokens in the engine's environment",
        "print(os.environ)",
        told,
        _engine_environment,
    ),
    Attack(
        "environ-of-others",
        KIND,
        "the environment of every process in /proc",
        'for pid in pids():\n    show(f"/proc/{pid}/environ")',
        told,
        _helper,
    ),
    Attack(
        "arguments-of-others",
        KIND,
        "the arguments of every process in /proc",
        'for pid in pids():\n    show(f"/proc/{pid}/cmdline")',
        told,
        _cmdline,
    ),
    Attack(
        "open-files-of-others",
        KIND,
        "a file that another process has open, through /proc/PID/fd",
        """
for pid in pids():
    for fd in attempt(os.listdir, f"/proc/{pid}/fd") or []:
        if os.path.isfile(f"/proc/{pid}/fd/{fd}"):
            show(f"/proc/{pid}/fd/{fd}")
""",
        told,
        _open_file,
    ),
    Attack(
        "root-of-others",
        KIND,
        "the host's files through another process's /proc/PID/root",
        'for pid in pids():\n    show(f"/proc/{pid}/root" + P["home"] + "/.netrc")',
        told,
        lambda host: _ignore(host.plant(host.home / ".netrc"), host.victim()),
    ),
    Attack(
        "cwd-of-others",
        KIND,
        "a file in another process's folder, through /proc/PID/cwd",
        'for pid in pids():\n    show(f"/proc/{pid}/cwd/secret")',
        told,
        _victim_cwd,
    ),
    Attack(
        "memory-of-others",
        KIND,
        "another process's memory through /proc/PID/mem",
        """
def read():
    with open(f"/proc/{P['victim']}/mem", "rb", 0) as memory:
        memory.seek(P["address"])
        print(memory.read(P["size"]))
attempt(read)
""",
        told,
        _tracing,
    ),
    Attack(
        "vm-readv",
        KIND,
        "another process's memory by process_vm_readv",
        """
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
def read():
    into = ctypes.create_string_buffer(P["size"])
    here, there = Part(ctypes.addressof(into), P["size"]), Part(P["address"], P["size"])
    checked(libc.process_vm_readv(P["victim"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0))
    print(into.raw)
attempt(read)
""",
        told,
        _tracing,
    ),
    Attack(
        "ptrace",
        KIND,
        "another process's memory by tracing it",
        """
def read():
    libc.ptrace.argtypes, libc.ptrace.restype = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2, ctypes.c_long
    checked(libc.ptrace(16, P["victim"], None, None))
    os.waitpid(P["victim"], 0)
    out = b""
    for at in range(0, P["size"] + 8, 8):
        out += struct.pack("q", libc.ptrace(2, P["victim"], P["address"] + at, None))
    print(out)
    libc.ptrace(17, P["victim"], None, None)
attempt(read)
""",
        told,
        _tracing,
    ),
    Attack(
        "shadow",
        KIND,
        "/etc/shadow, as a digest of it",
        """
import hashlib
attempt(lambda: print(hashlib.sha256(TOKEN.encode() + open("/etc/shadow", "rb").read()).hexdigest()))
""",
        told,
        _shadow,
        "root",
    ),
    Attack(
        "keyring",
        KIND,
        "a key in the user's keyring of the kernel",
        """
def read():
    keyctl = 219 if ARM else 250
    key = syscall(keyctl, 10, -4, b"user", TOKEN.encode(), 0)
    into = ctypes.create_string_buffer(256)
    syscall(keyctl, 11, key, into, 256)
    print(into.raw)
attempt(read)
""",
        told,
        _keyring,
    ),
    Attack(
        "inherited-file",
        KIND,
        "a file that the engine left open for its children",
        "for fd in range(3, 256):\n    attempt(lambda: print(os.pread(fd, 4096, 0)))",
        told,
        _inherited,
    ),
    Attack("stdin", KIND, "what the person types for the engine", "print(os.read(0, 4096))", told, _stdin),
    Attack(
        "kernel-log",
        KIND,
        "the kernel's log",
        """
fd = attempt(os.open, "/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
while fd and (line := attempt(os.read, fd, 8192)):
    print(line)
into = ctypes.create_string_buffer(1 << 18)
attempt(lambda: print(into.raw[: checked(libc.klogctl(3, into, 1 << 18))][-8000:]))
""",
        told,
        _kernel_log,
        "root",
    ),
    Attack(
        "raw-disk",
        KIND,
        "the disk below the file system, by its device and by a device made in the worktree",
        """
import hashlib
def read(path):
    with open(path, "rb") as disk:
        print(hashlib.sha256(TOKEN.encode() + disk.read(4096)).hexdigest())
attempt(read, P["disk"])
attempt(os.mknod, "disk", 0o600 | stat.S_IFBLK, P["device"])
attempt(read, "disk")
attempt(os.unlink, "disk")
""",
        told,
        _disk,
        "root",
    ),
    Attack(
        "file-handle",
        KIND,
        "a file by its handle, without a path",
        """
def read():
    fd = checked(libc.open_by_handle_at(os.open(".", os.O_RDONLY), bytes.fromhex(P["handle"]), os.O_RDONLY))
    print(os.read(fd, 4096))
attempt(read)
""",
        told,
        _handle,
        "root",
    ),
    Attack(
        "hard-link-to-secret",
        KIND,
        "a second name for a secret file, in the worktree",
        'attempt(os.link, P["target"], "report.txt")\nshow("report.txt")',
        told,
        _linked,
        "caller",
    ),
    Attack(
        "link-to-secret",
        KIND,
        "a secret file through a symbolic link in the worktree",
        'attempt(os.symlink, P["target"], "report.txt")\nshow("report.txt")',
        told,
        _linked,
    ),
    Attack(
        "temporary-files",
        KIND,
        "another program's file in the host's /tmp",
        'show(P["target"])',
        told,
        _temporary,
    ),
    Attack("run-folder", KIND, "another program's file in /run", 'show(P["target"])', told, _run_folder),
    _socket("ssh-agent", "the ssh agent's socket", "{root}/ssh/agent.1"),
    _socket("session-bus", "the desktop's message bus", "{root}/run/user/1/bus"),
    _socket("docker-socket", "a container daemon's socket", "{root}/run/docker.sock"),
    _socket("wayland", "the screen and the clipboard, over Wayland's socket", "{root}/run/user/2/wayland-0"),
    _socket("x11-path", "the screen and the clipboard, over X11's socket", "/tmp/.X11-unix-{token}/X7"),
    _socket("x11-abstract", "the same over X11's abstract socket", "\0/tmp/.X11-unix/{token}"),
]
