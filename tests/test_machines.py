"""One run of several processes, here all on this machine, each with one CPU device."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxmlp.commands import BAD_DATA, WRONG_FLAGS, machine_flags
from jaxmlp.commands.flags import FlagError
from jaxmlp.runs import run_directory, storage
from jaxmlp.runs.machines import LOST
from shell import ENVIRONMENT, assert_one_line, run

pytestmark = pytest.mark.slow

ABORTED = -signal.SIGABRT  # by JAX, where its coordinator has gone
OPTIONS = ("--hidden=12", "--learning_rate=0.3", "--momentum=0.5", "--input_dropout=0.2", "--batch_size=25")
SECONDS = 20  # in which the others end when one is killed


class Processes:
    """So many of a run, each with its output in files; `own` has more arguments of some, by number.

    The last ones may be `missing`.
    """

    command = "train"

    def __init__(self, folder, n, *arguments, own=None, host="127.0.0.1", environments=None, missing=0):
        with socket.create_server((host, 0)) as free:
            address = f"{host}:{free.getsockname()[1]}"
        self.outputs, self.running = [], []
        for i in range(n - missing):
            given = [f"--coordinator_address={address}", f"--num_processes={n}", f"--process_id={i}"]
            command = [
                sys.executable,
                "-m",
                f"jaxmlp.{self.command}",
                *(["--distributed"] if environments else given),
            ]
            command += ["--initialization_timeout=30", *arguments, *(own or {}).get(i, ())]
            where = folder / f"process{i}"
            where.mkdir(exist_ok=True)
            files = [where / "out", where / "err"]
            self.outputs.append(files)
            with files[0].open("w") as out, files[1].open("w") as err:
                environment = {**ENVIRONMENT, "JAX_PLATFORMS": "cpu", **(environments or [{}] * n)[i]}
                self.running.append(subprocess.Popen(command, cwd=where, stdout=out, stderr=err, env=environment))

    def finish(self, seconds=60):
        """(exit code, stdout, stderr) of each."""
        deadline = time.monotonic() + seconds
        codes = [process.wait(max(deadline - time.monotonic(), 0.1)) for process in self.running]
        return [
            (code, *(file.read_text() for file in files)) for code, files in zip(codes, self.outputs, strict=True)
        ]

    def wait_for_epoch(self, epoch):
        for _ in range(1200):
            if re.search(rf"^epoch +{epoch}/", self.outputs[0][0].read_text(), re.M):
                return
            assert all(process.poll() is None for process in self.running), self.finish()
            time.sleep(0.05)
        raise AssertionError

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()


def numbers(run_dir):
    rows = [json.loads(row) for row in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [(row["train_loss"], row["validation_loss"]) for row in rows], [row["validation_errors"] for row in rows]


def slurm(n):
    """What SLURM sets for each of n tasks on one node."""
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(n)}
    return [{**job, "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(n)]


def test_two_processes_then_three_by_slurm_train_as_one_does(few_digits, tmp_path):
    """The processes but the first see nothing of the run directory, which is relative to where each runs."""
    data = f"--data_dir={few_digits}"
    with Processes(tmp_path, 2, data, "--run_dir=run", *OPTIONS, "--epochs=2") as two:
        for code, _, err in (ended := two.finish()):
            assert (code, err) == (0, "")
        assert "on cpu: cpu, cpu, of 2 processes\n" in ended[0][1]
        assert ended[1][1] == ""
    with Processes(tmp_path, 3, "--run_dir=run", "--epochs=4", environments=slurm(3)) as three:
        for code, _, err in (ended := three.finish()):
            assert code == 0, err
        assert "going on after epoch 2\n" in ended[0][1]
        assert re.fullmatch("warning: run: devices was .*: the bits of the result may differ\n", ended[0][2])
        assert [(out, err) for _, out, err in ended[1:]] == [("", "")] * 2
    assert os.listdir(tmp_path / "process2") == ["err", "out"] or os.listdir(tmp_path / "process2") == [
        "out",
        "err",
    ]
    command = [sys.executable, "-m", "jaxmlp.train", data, f"--run_dir={tmp_path / 'one'}", *OPTIONS, "--epochs=4"]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    losses, errors = numbers(tmp_path / "one")
    losses_of_many, errors_of_many = numbers(tmp_path / "process0" / "run")
    assert errors_of_many == errors
    assert losses_of_many == [pytest.approx(pair, rel=1e-5) for pair in losses]
    tests = [(path / "test.json").read_text() for path in (tmp_path / "one", tmp_path / "process0" / "run")]
    assert tests[0] == tests[1]


def test_sigterm_to_one_ends_all_with_everything_saved_and_none_listens_elsewhere(few_digits, tmp_path):
    arguments = f"--data_dir={few_digits}", "--run_dir=run", *OPTIONS, "--epochs=100000"
    with Processes(tmp_path, 2, *arguments, host="127.0.0.2") as two:
        two.wait_for_epoch(1)
        heard = [addresses(process.pid) for process in two.running]
        assert heard[0] == {"127.0.0.2"}
        assert heard[1] <= {"127.0.0.1", "127.0.0.2"}  # from where it reaches process 0
        two.running[1].send_signal(signal.SIGTERM)
        ended = two.finish()
    (saved,) = {
        re.search(r"^stopped after epoch (\d+); --run_dir=run goes on", err, re.M)[1] for _, _, err in ended
    }
    assert [code for code, _, _ in ended] == [128 + signal.SIGTERM] * 2
    assert run_directory.newest(tmp_path / "process0" / "run")[0].name == f"checkpoint-{int(saved):06d}.npz"


HIDDEN = "--hidden: expected an integer from 1 to 100000, got 'many'\n"
AMONG = "--process_id: expected less than num_processes, which is 2, got 2\n"


@pytest.mark.parametrize(
    ("failing", "argument", "line"),
    [(0, "--hidden=many", HIDDEN), (1, "--hidden=many", HIDDEN), (1, "--process_id=2", AMONG)],
)
def test_wrong_flags_of_one_end_the_other_before_they_meet(tmp_path, failing, argument, line):
    with Processes(tmp_path, 2, own={failing: [argument]}) as two:
        ended = two.finish(SECONDS)
    number = 2 if argument == "--process_id=2" else failing
    assert ended.pop(failing) == (WRONG_FLAGS, "", f"error: {line}")
    assert ended == [(LOST, "", f"error: process {number}: {line}")]


@pytest.mark.parametrize(
    ("asked", "signum", "said"), [(0, signal.SIGINT, "interrupted"), (1, signal.SIGTERM, "terminated")]
)
def test_a_signal_to_one_that_waits_ends_those_who_wait_with_it(tmp_path, asked, signum, said):
    with Processes(tmp_path, 3, missing=1) as two:
        for _ in range(600):
            if addresses(two.running[0].pid, ESTABLISHED):
                break
            time.sleep(0.05)
        two.running[asked].send_signal(signum)
        ended = two.finish(SECONDS)
    assert ended.pop(asked) == (128 + signum, "", f"error: {said}\n")
    assert ended == [(LOST, "", f"error: process {asked}: {said}\n")]


# Between the meeting and training: see machines.join.
TERMINATES_ITSELF = """\
import os, signal, sys
from jaxmlp.runs import machines
process, port = map(int, sys.argv[1:])
machines.join(machines.expect(("127.0.0.1", port), process, 2), None, {}, 30)
if process == 1:
    signal.raise_signal(signal.SIGTERM)
machines.gather(None)
os._exit(0)
"""


def test_jax_does_not_take_sigterm_for_itself():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    commands = [[sys.executable, "-c", TERMINATES_ITSELF, str(process), port] for process in (0, 1)]
    environment = {**ENVIRONMENT, "JAX_PLATFORMS": "cpu"}
    both = [subprocess.Popen(c, stderr=subprocess.PIPE, text=True, env=environment) for c in commands]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [LOST, -signal.SIGTERM], said


ESTABLISHED, LISTENING = "01", "0A"


def addresses(pid, wanted=LISTENING):
    """The IPv4 addresses of the process's own at which it accepts connections, or has one."""
    links = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the process has closed it meanwhile
            links.append(os.readlink(file))
    inodes = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = columns = row.split()
            if state == wanted and columns[9] in inodes:
                address = local.partition(":")[0]
                assert len(address) == 8 or address.startswith("0000000000000000FFFF0000"), row
                found.add(".".join(str(byte) for byte in reversed(bytes.fromhex(address[-8:]))))
    return found


@pytest.mark.parametrize("killed", [0, 1])
def test_one_is_killed_and_the_others_end(few_digits, tmp_path, killed):
    with Processes(tmp_path, 3, f"--data_dir={few_digits}", "--run_dir=run", *OPTIONS, "--epochs=100000") as three:
        three.wait_for_epoch(1)
        three.running[killed].kill()
        ended = three.finish(SECONDS)
    assert ended.pop(killed)[0] == -signal.SIGKILL
    line = f"error: process {killed}: expected to go on, got the end of its connection: killed or cut off\n"
    for code, _, err in ended:
        assert (code, err) == (LOST, line) or (killed == 0 and code in (LOST, ABORTED)), (code, err)
    assert run_directory.newest(tmp_path / "process0" / "run")


def test_two_processes_train_privately_as_one_does_with_their_secret(few_digits, tmp_path):
    private = "--target_epsilon=3", "--delta=1e-3", "--clip_norm=1", "--hidden=12", "--batch_size=250", "--epochs=2"
    with Processes(tmp_path, 2, f"--data_dir={few_digits}", "--run_dir=run", *private) as two:
        for code, _, err in (ended := two.finish()):
            assert (code, err) == (0, "")
    assert re.search(r"^privacy: ε (2\.9\d\d|3\.000) in the end", ended[0][1], re.M)
    told, one = tmp_path / "process0" / "run", tmp_path / "one"
    one.mkdir()
    for name in (run_directory.CONFIG, run_directory.FLAGS, run_directory.SECRET):
        shutil.copy(told / name, one)
    assert run("train", f"--run_dir={one}").returncode == 0
    networks = [storage.load(path)[0] for path in (told, one)]
    for of_two, of_one in zip(*networks, strict=True):
        np.testing.assert_allclose(of_two, of_one, rtol=1e-5, atol=1e-6)


def test_what_fails_in_one_ends_all_in_one_line(few_digits, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for file in few_digits.iterdir():
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        (other / file.name).write_bytes(content)
    arguments = "--run_dir=run", "--epochs=2"
    own = {0: [f"--data_dir={few_digits}"], 1: [f"--data_dir={other}"]}
    with Processes(tmp_path, 2, *arguments, *OPTIONS, own=own) as two:
        for code, out, err in two.finish():
            assert (code, out) == (LOST, "")
            assert re.fullmatch(
                'error: process 1: expected .* of SHA-256 "[0-9a-f]+", as process 0 has it, .*\n', err
            )
    same = *arguments, *OPTIONS, f"--data_dir={few_digits}"
    with Processes(tmp_path, 2, *same, "--hidden=13") as two:
        line = "error: --hidden: expected a multiple of 2, the number of devices, got 13\n"
        assert two.finish() == [(WRONG_FLAGS, "", line)] * 2
    (tmp_path / "process0" / "run").touch()
    with Processes(tmp_path, 2, *same) as two:
        line = "run: expected a folder to write in, got File exists\n"
        assert two.finish() == [(BAD_DATA, "", f"error: {line}"), (LOST, "", f"error: process 0: {line}")]


MISSING = "a value, or --distributed under SLURM, Open MPI or on a TPU pod, got none"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("here", 2, 0), "--coordinator_address: expected host:port, got 'here'"),
        (("h:1",), f"--num_processes: expected {MISSING}"),
    ],
)
def test_wrong_flags_are_one_line(arguments, message):
    names = "coordinator_address", "num_processes", "process_id"
    done = run("train", *(f"--{name}={value}" for name, value in zip(names, arguments, strict=False)))
    assert_one_line(done, WRONG_FLAGS, f"error: {message}\n")


def test_without_a_cluster_distributed_is_one_line():
    assert_one_line(
        run("train", "--distributed"), WRONG_FLAGS, f"error: --coordinator_address: expected {MISSING}\n"
    )


OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


def test_open_mpi_says_who_one_is(monkeypatch):
    for name, value in OPEN_MPI.items():
        monkeypatch.setenv(name, value)
    assert machine_flags._detected([None, None, None], 10) == ("10.96.0.1:62624", 8, 3, [1])
    assert machine_flags._detected(["h:1", None, 2], 10) == ("h:1", 8, 2, [1])
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "eight")
    with pytest.raises(FlagError, match=r"Open MPI or a TPU pod, got invalid literal .* 'eight'$"):
        machine_flags._detected([None, None, None], 10)
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE")
    with pytest.raises(FlagError, match=r"Open MPI or a TPU pod, got no OMPI_COMM_WORLD_SIZE$"):
        machine_flags._detected([None, None, None], 10)


def test_nobody_comes(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    arguments = f"--coordinator_address={address}", "--num_processes=2", "--initialization_timeout=1"
    alone = run("train", *arguments, "--process_id=1", cwd=tmp_path)
    assert_one_line(alone, LOST, f"error: --coordinator_address={address}: expected process 0 within 1 s, got ")
    waiting = run("train", *arguments, "--process_id=0", cwd=tmp_path)
    assert_one_line(waiting, LOST, "error: expected 2 processes within 1 s, got none with --process_id=1\n")
    assert not list(tmp_path.iterdir())
