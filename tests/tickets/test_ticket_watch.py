"""The watcher: every way in which a ticket file changes is told, soon, and reading is no change."""

import errno
import shutil
import threading
import time

import pytest

from tickets.folder import create, scan
from tickets.watch import TicketWatcher

SOON = 10  # far above the second that is promised: a busy machine is no fault


class Told:
    """Counts the calls, and waits for the next one."""

    def __init__(self):
        self.count = 0
        self.called = threading.Condition()

    def __call__(self):
        with self.called:
            self.count += 1
            self.called.notify_all()

    def after(self, change):
        with self.called:
            before = self.count
        change()
        with self.called:
            assert self.called.wait_for(lambda: self.count > before, SOON), "the change was not told"
        self.settle()

    def settle(self):
        """Wait until nothing more comes of what was done."""
        while True:
            with self.called:
                before = self.count
                if not self.called.wait_for(lambda before=before: self.count > before, 1.0):
                    return


@pytest.fixture(params=["watching", "polling"])
def watched(request, tmp_path, monkeypatch):
    if request.param == "polling":
        from watchdog.observers import Observer

        def exhausted(*_args, **_more):
            raise OSError(errno.ENOSPC, "inotify watch limit reached")

        monkeypatch.setattr(Observer, "schedule", exhausted)
    path = create(tmp_path, "one")
    told = Told()
    watcher = TicketWatcher(tmp_path, told)
    watcher.start()
    assert watcher.polling == (request.param == "polling")
    yield tmp_path, path, told
    watcher.stop()


def test_edits_new_files_renames_and_deletions_are_told(watched):
    root, path, told = watched

    def save_as_editors_do():
        spare = path.with_name(".TICKET-001.yaml.swp")
        spare.write_text("saved")
        spare.replace(path)

    told.after(lambda: path.write_text("edited"))
    told.after(save_as_editors_do)
    told.after(lambda: create(root, "new"))
    told.after(lambda: path.rename(path.with_name("TICKET-009.yaml")))
    told.after(lambda: path.with_name("TICKET-009.yaml").unlink())


def test_a_folder_that_goes_and_comes_again_is_watched_again(watched):
    root, path, told = watched
    told.after(lambda: shutil.rmtree(root / "tickets"))
    told.after(lambda: create(root, "again"))
    told.after(lambda: path.write_text("edited again"))
    told.after(lambda: (root / "tickets").rename(root / "elsewhere"))
    told.after(lambda: shutil.copytree(root / "elsewhere", root / "tickets"))
    told.after(lambda: path.write_text("edited once more"))


def test_reading_and_other_files_are_told_to_nobody(watched):
    root, path, told = watched
    (root / "tickets" / "notes.txt").write_text("here")
    told.settle()
    before = told.count
    for _ in range(20):
        path.read_text()
        scan(root)
        (root / "tickets" / "notes.txt").write_text("x")
        time.sleep(0.02)
    told.settle()
    assert told.count == before


def test_a_folder_that_is_not_there_yet_is_found(tmp_path):
    told = Told()
    watcher = TicketWatcher(tmp_path, told)
    watcher.start()
    try:
        told.after(lambda: create(tmp_path, "first"))
        told.after(lambda: (tmp_path / "tickets" / "TICKET-001.yaml").write_text("edited"))
    finally:
        watcher.stop()


def test_a_burst_of_changes_makes_few_calls(tmp_path):
    create(tmp_path, "one")
    told = Told()
    watcher = TicketWatcher(tmp_path, told)
    watcher.start()
    try:
        told.after(lambda: [create(tmp_path, "x") for _ in range(300)])
    finally:
        watcher.stop()
    assert told.count < 100


def test_a_failing_listener_does_not_end_the_watch(tmp_path):
    path = create(tmp_path, "one")
    told = Told()

    def fail():
        told()
        raise RuntimeError("on purpose")

    watcher = TicketWatcher(tmp_path, fail)
    watcher.start()
    try:
        told.after(lambda: path.write_text("two"))
        told.after(lambda: path.write_text("three"))
    finally:
        watcher.stop()


def test_after_stop_nothing_is_told_and_no_thread_is_left(tmp_path):
    path = create(tmp_path, "one")
    told = Told()
    before = set(threading.enumerate())
    watcher = TicketWatcher(tmp_path, told)
    watcher.start()
    watcher.stop()
    path.write_text("two")
    time.sleep(0.3)
    assert told.count == 0
    assert not [t for t in set(threading.enumerate()) - before if t.name == "ticket-watcher"]
