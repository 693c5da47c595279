import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from sotopia_env.agents.endpoint.cache import ReplyCache, reply_key

WRITE = """
import sys
from sotopia_env.agents.endpoint.cache import ReplyCache
cache = ReplyCache(sys.argv[1])
for i in range(int(sys.argv[3])):
    cache.keep("m", {f"key {i}": f"{sys.argv[2]} {i}"})
    print(i, flush=True)
"""


def write(path, who, count):
    command = [sys.executable, "-c", WRITE, str(path), who, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_was_kept_is_found_and_the_first_reply_counts(tmp_path):
    cache = ReplyCache(tmp_path / "deep" / "replies.sqlite")
    assert cache.find(["a"]) == {}
    assert len(cache) == 0
    assert not cache.path.exists()
    assert cache.keep("m", {"a": "first"}) == {"a": "first"}
    assert cache.keep("m", {"a": "second", "b": "lone \ud800"}) == {"a": "first", "b": "lone ?"}
    assert cache.find(["b", "a", "c", "a"]) == {"a": "first", "b": "lone ?"}
    assert len(pickle.loads(pickle.dumps(cache))) == 2  # noqa: S301


def test_many_keys_are_looked_up_at_once(tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    cache.keep("m", {"key 1700": "here"})
    assert cache.find(f"key {i}" for i in range(2000)) == {"key 1700": "here"}


def test_replies_are_kept_while_they_come_in(tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    with pytest.raises(KeyboardInterrupt), cache.keeping("m") as keep:
        for i in range(300):
            keep(f"key {i}", str(i))
        raise KeyboardInterrupt
    assert len(cache) == 300
    cache.path.write_text("no database " * 200)
    with pytest.raises(OSError, match="file is not a database"), cache.keeping("m") as keep:
        keep("key", "text")


def test_two_processes_share_it_and_agree(tmp_path):
    path = tmp_path / "replies.sqlite"
    writers = [write(path, who, 40) for who in ("one", "two")]
    assert [writer.communicate(timeout=60) and writer.returncode for writer in writers] == [0, 0]
    cache = ReplyCache(path)
    found = cache.find(f"key {i}" for i in range(40))
    assert len(cache) == len(found) == 40
    assert all(text in (f"one {key[4:]}", f"two {key[4:]}") for key, text in found.items())


def test_killed_in_the_middle_it_goes_on(tmp_path):
    path = tmp_path / "replies.sqlite"
    writer = write(path, "one", 100_000)
    for _ in range(20):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    cache = ReplyCache(path)
    assert len(cache) >= 20
    start = time.monotonic()
    assert cache.keep("m", {"another": "text"}) == {"another": "text"}
    assert time.monotonic() - start < 5
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_another_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes, and no database of anything at all. " * 20)
    before = path.read_bytes()
    for use in (lambda cache: cache.find(["a"]), lambda cache: cache.keep("m", {"a": "text"}), len):
        with pytest.raises(OSError, match=r"notes\.txt: file is not a database; is it such a cache"):
            use(ReplyCache(path))
    assert path.read_bytes() == before


def test_a_key_follows_from_all_that_decides_a_reply():
    chat = [{"role": "user", "content": "a"}]
    keys = {
        reply_key("m", chat, {"temperature": 0.0}),
        reply_key("n", chat, {"temperature": 0.0}),
        reply_key("m", chat, {"temperature": 1.0}),
        reply_key("m", [{"role": "user", "content": "b"}], {"temperature": 0.0}),
    }
    assert len(keys) == 4
    assert reply_key("m", chat, {"a": 1, "b": 2}) == reply_key("m", chat, {"b": 2, "a": 1})
