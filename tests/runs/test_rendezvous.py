"""How processes find one another, here as threads: all come, or each is told in one line why not."""

import contextlib
import itertools
import json
import select
import selectors
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxmlp.runs import rendezvous
from jaxmlp.runs.links import Link, farewell, lost
from jaxmlp.runs.rendezvous import MachineError, Told

SAME = {"jax": "0.10.1", "--hidden": 12}


@pytest.fixture
def address():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()


def join(address, process, processes, same, seconds):
    return rendezvous.meeting(address, process, processes).meet(same, seconds)


def meet(address, *all_told):
    """What each of these processes gets: its links, or the text of its MachineError."""

    def one(told):
        try:
            return join(address, *told)
        except MachineError as error:
            return str(error)

    with ThreadPoolExecutor(len(all_told)) as threads:
        return list(threads.map(one, all_told))


def test_all_come_and_process_0_is_linked_to_each_in_order(address):
    *others, links = meet(address, *(Told(i, 3, SAME, 10) for i in (2, 1, 0)))
    for i, (other,) in enumerate(reversed(others)):
        links[i].send({"to": i + 1})
        assert other.receive(5) == {"to": i + 1}
        assert other.address == "127.0.0.1"
    close(links, *others)


def close(*all_links):
    for link in itertools.chain(*all_links):
        link.close()


NO_PROCESS = [
    b"[1, 2]\n",
    b"[1, 2, [], 5]\n",
    b"[1, 2, {}, 5]\n",
    *(b'[%s, 2, {"jax": "0.10.1"}, 5]\n' % process for process in (b"-1", b"0", b"7", b'"1"', b"NaN", b"true")),
    b'{"words": "hello"}\n',
    b'{"words": 5, "after": 0}\n',
]


def test_a_stranger_at_the_door_is_sent_away(address):
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(join, address, 0, 2, SAME, 10)
        none_of_ours = [*NO_PROCESS, b"GET / HTTP/1.1\r\n\r\n", b"[" * 10_000 + b"\n", b""]
        for said in none_of_ours:
            with connect(address) as stranger:
                stranger.sendall(said)
        second = join(address, 1, 2, SAME, 10)
        assert len(first.result()) == len(second) == 1
    close(first.result(), second)


@pytest.mark.slow
def test_strangers_who_are_silent_or_slow_keep_nobody_waiting(address, monkeypatch):
    monkeypatch.setattr(rendezvous, "HELLO", 1.0)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(join, address, 0, 2, SAME, 10)
        silent, slow, dropped = [connect(address) for _ in range(20)], connect(address), connect(address)
        started = time.monotonic()
        dropped.settimeout(9)
        while not _ended(slow):  # a byte now and then does not keep it there
            slow.sendall(b"[")
            time.sleep(0.05)
        assert _ended(dropped, within=5)  # it came a moment later
        assert 0.5 < time.monotonic() - started < 9
        second = join(address, 1, 2, SAME, 10)
        assert len(first.result()) == len(second) == 1
        assert time.monotonic() - started < 15
    close(first.result(), second, silent, [slow, dropped])


@pytest.mark.slow
def test_many_silent_strangers_do_not_hold_up_those_who_have_met(address):
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(join, address, 0, 2, SAME, 10)
        silent = [connect(address) for _ in range(100)]
        started = time.monotonic()
        second = join(address, 1, 2, SAME, 10)
        first.result()
        assert time.monotonic() - started < 5  # 10 s with a moment for each
    close(first.result(), second, silent)


@pytest.mark.slow
def test_a_flood_of_strangers_does_not_use_up_the_open_files(address):
    """Of more than 100 the first is sent away."""
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(join, address, 0, 2, SAME, 10)
        silent = [connect(address) for _ in range(150)]
        assert _ended(silent[47], within=4)  # all are let in; each has 5 s to speak
        ended = [_ended(stranger) for stranger in silent]
        assert ended == [True] * 48 + [False] * 102
        second = join(address, 1, 2, SAME, 10)
        first.result()
    close(first.result(), second, silent)


@pytest.mark.slow
def test_half_a_message_does_not_put_off_the_end(address):
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(meet, address, Told(0, 3, SAME, 1))
        link = Link(connect(address))
        link.send(Told(1, 3, SAME, 1))
        time.sleep(0.3)  # else it is heard with what came before
        link._socket.sendall(b'{"words"')
        started = time.monotonic()
        first.result()
        assert time.monotonic() - started < 4  # HELLO is 5 s
    link.close()


@pytest.mark.slow
def test_a_slow_stranger_does_not_put_off_the_end(address):
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(meet, address, Told(0, 2, SAME, 1))
        started = time.monotonic()
        slow = connect(address)
        while not first.done() and time.monotonic() - started < 10:
            with contextlib.suppress(OSError):
                slow.sendall(b"[")
            time.sleep(0.05)
        assert time.monotonic() - started < 8
        assert first.result() == ["expected 2 processes within 1 s, got none with --process_id=1"]
    slow.close()


def _ended(connected, within=0):
    """Whether the other side closes it within so many seconds."""
    readable, _, _ = select.select([connected], [], [], within)
    try:
        return bool(readable) and not connected.recv(1)
    except OSError:
        return True


def connect(address):
    for _ in range(100):
        try:
            return socket.create_connection(address)
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise AssertionError


@pytest.mark.slow
def test_who_is_missing_is_named(address):
    line = "expected 4 processes within 1 s, got none with --process_id=1, 3"
    assert meet(address, Told(0, 4, SAME, 1), Told(2, 4, SAME, 5)) == [line, line]


AGAIN = "--process_id: expected each of 0 to 2 once, got 1 again"


def test_two_with_one_number_are_told(address):
    assert set(meet(address, *(Told(i, 3, SAME, 10) for i in (0, 1, 1)))) == {AGAIN}


@pytest.mark.slow
def test_who_comes_when_nobody_is_missing_is_told_and_the_others_go_on(address, monkeypatch):
    found_wrong = rendezvous._Door._found_wrong
    with ThreadPoolExecutor(2) as threads:

        def slowly(door, came):
            if not late:  # the second process 1 comes meanwhile
                late.append(threads.submit(meet, address, Told(1, 2, SAME, 10)))
                assert select.select([door._server], [], [], 10)[0]
            return found_wrong(door, came)

        late = []
        monkeypatch.setattr(rendezvous._Door, "_found_wrong", slowly)
        monkeypatch.setattr(rendezvous, "PAUSE", 1.0)  # time to speak
        first, second = meet(address, *(Told(i, 2, SAME, 10) for i in (0, 1)))
        assert late[0].result() == [AGAIN.replace("2", "1")]
    assert len(first) == len(second) == 1
    close(first, second)


def test_who_comes_when_the_run_has_begun_is_told(address):
    """JAX's coordinator listens then, which says so before it has heard anything."""
    with socket.create_server(address) as coordinator, ThreadPoolExecutor(1) as thread:
        got = thread.submit(meet, address, Told(1, 3, SAME, 10))
        with coordinator.accept()[0] as late:
            late.sendall(bytes.fromhex("000024 0400 00000000 000200000000"))
        where = f"{address[0]}:{address[1]}"
        assert got.result() == [f"{AGAIN}: the run at {where} has begun"]


@pytest.mark.parametrize("who", [0, 1])
def test_who_does_not_come_says_why(address, who):
    words = "process 1: --hidden: expected an integer, got 'x'"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(rendezvous.meeting(address, who, 3).excuse, words)
        others = (Told(i, 3, SAME, 10) for i in range(3) if i != who)
        assert meet(address, *others) == [words, words]


@pytest.mark.parametrize("last_words", ["process 1: terminated", None])
def test_who_has_come_and_ends_is_missed(address, last_words, monkeypatch):
    monkeypatch.setattr(rendezvous, "FAREWELL", 0.2)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(meet, address, Told(0, 3, SAME, 10))
        link = Link(connect(address))
        link.send(Told(1, 3, SAME, 10))
        if last_words:
            link.send(farewell(last_words, 0))
        link.close()
        assert waiting.result() == [last_words or lost(1)]


def test_process_0_ends_while_others_wait_and_those_who_come_later_hear_it_too(address, monkeypatch):
    class Interrupted(BaseException):
        pass

    def interrupt(selector, seconds):
        raise Interrupted

    door = rendezvous.meeting(address, 0, 3)
    with ThreadPoolExecutor(2) as threads:
        got = [threads.submit(meet, address, Told(1, 3, SAME, 10))]
        with monkeypatch.context() as changed:
            changed.setattr(selectors.DefaultSelector, "select", interrupt)
            with pytest.raises(Interrupted):
                door.meet(SAME, 10)
        got.append(threads.submit(meet, address, Told(2, 3, SAME, 10)))
        door.excuse("process 0: interrupted")
        assert [one.result() for one in got] == [["process 0: interrupted"]] * 2


def test_another_number_of_processes_is_told(address):
    got = set(meet(address, Told(0, 2, SAME, 10), Told(1, 3, SAME, 10)))
    assert got == {"--num_processes: expected 2, as process 0 has it, got 3"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({**SAME, "jax": "0.12.0.1"}, 'jax "0.10.1", as process 0 has it, got "0.12.0.1"'),
        ({**SAME, "--hidden": 13}, "--hidden 12, as process 0 has it, got 13"),
        ({**SAME, "--deskew": True}, "--deskew none, as process 0 has it, got true"),
        ({"jax": "0.10.1"}, "--hidden 12, as process 0 has it, got none"),
    ],
)
def test_what_differs_is_told(address, other, words):
    got = set(meet(address, Told(0, 3, SAME, 10), Told(1, 3, SAME, 10), Told(2, 3, other, 10)))
    assert got == {f"process 2: expected {words}"}


def test_an_address_that_is_taken(address):
    where = f"--coordinator_address={address[0]}:{address[1]}"
    with socket.create_server(address):
        (got,) = meet(address, Told(0, 2, SAME, 10))
    expected = "a free address of this machine, for the only --process_id=0"
    assert got == f"{where}: expected {expected}, got Address already in use"


@pytest.mark.slow
def test_nobody_at_the_address(address):
    (got,) = meet(address, Told(1, 2, SAME, 1))
    where = f"--coordinator_address={address[0]}:{address[1]}"
    assert got == f"{where}: expected process 0 within 1 s, got Connection refused"


def test_who_listens_at_the_address_and_never_answers(address, monkeypatch):
    monkeypatch.setattr(rendezvous, "HELLO", 0.2)
    monkeypatch.setattr(rendezvous, "FAREWELL", 0.2)
    with socket.create_server(address):
        (got,) = meet(address, Told(1, 2, SAME, 1))
    where = f"--coordinator_address={address[0]}:{address[1]}"
    assert got == f"{where}: expected process 0, got no answer"


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.6\r\n", b'{"words": 5}\n', b"[]\n"])
def test_somebody_else_at_the_address(address, said):
    with socket.create_server(address) as server, ThreadPoolExecutor(1) as thread:
        got = thread.submit(meet, address, Told(1, 2, SAME, 10))
        other, _ = server.accept()
        with other:
            assert json.loads(other.makefile("rb").readline()) == [1, 2, SAME, 10]
            other.sendall(said)
        where = f"--coordinator_address={address[0]}:{address[1]}"
        assert got.result() == [f"{where}: expected process 0, got another program"]
