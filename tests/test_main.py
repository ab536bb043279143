"""python -m jaxmlp: what there is, a way to run it; and Ctrl-C while it is still being imported."""

import re
import signal
import subprocess
import sys

import pytest

import jaxmlp
from jaxmlp import __main__ as main
from jaxmlp import interrupts


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["jaxmlp", *arguments])
    for command in main.COMMANDS:  # which another test may have imported, as the user has not
        monkeypatch.delitem(sys.modules, f"jaxmlp.{command}", raising=False)
    main.main()
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_it_says_what_there_is(monkeypatch, capsys, arguments):
    assert re.findall(r"(?m)^  (\w+) +\w", run(monkeypatch, capsys, *arguments)) == list(main.COMMANDS)


def test_it_says_its_version(monkeypatch, capsys):
    assert run(monkeypatch, capsys, "--version") == f"jaxmlp {jaxmlp.__version__}\n"


def test_an_unknown_command_is_one_line(monkeypatch, capsys):
    with pytest.raises(SystemExit, match="1"):
        run(monkeypatch, capsys, "trian")
    assert capsys.readouterr().err == f"error: expected one of {', '.join(main.COMMANDS)}, got 'trian'\n"


@pytest.mark.parametrize("command", [name for name in main.COMMANDS if name != "gradcheck"])
def test_it_runs_each_of_them(monkeypatch, capsys, command):
    with pytest.raises(SystemExit, match="0"):
        run(monkeypatch, capsys, command, "--help")
    assert capsys.readouterr().out.startswith(f"python -m jaxmlp.{command}: ")


def test_all_commands_in_one_process():
    import jaxmlp.evaluate
    import jaxmlp.predict
    import jaxmlp.report
    import jaxmlp.sweep
    import jaxmlp.train

    modules = jaxmlp.train, jaxmlp.sweep, jaxmlp.evaluate, jaxmlp.predict, jaxmlp.report
    defined = [module.FLAGS for module in modules]
    assert all("run_dir" in flags.expected for flags in defined)


def test_ctrl_c_during_imports_is_one_line():
    code = "import sys, time; sys.argv = ['jaxmlp']; import jaxmlp; print(1, flush=True); time.sleep(60)"
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, "error: interrupted\n")


@pytest.mark.parametrize(
    ("argv", "orig_argv", "ours"),
    [
        (["/home/ada/research.py"], ["python", "/home/ada/research.py"], False),
        (["-m", "--jaxmlp"], ["python", "-m", "research.tool", "--jaxmlp"], False),  # which imports jaxmlp
        (["-m"], ["python", "-X", "dev", "-m", "jaxmlp_tools"], False),
        ([""], ["python"], False),
        (["-m", "--epochs=1"], ["python", "-m", "jaxmlp.train", "--epochs=1"], True),
        (["-m", "train"], ["python", "-Bm", "jaxmlp", "train"], True),
        (["-m"], ["python", "-mjaxmlp.train"], True),
        (["/usr/bin/jaxmlp", "train"], ["python", "/usr/bin/jaxmlp", "train"], True),
    ],
)
def test_a_program_that_only_imports_it_keeps_its_own_ctrl_c(monkeypatch, argv, orig_argv, ours):
    set_handlers = []
    monkeypatch.setattr(interrupts.signal, "signal", lambda *given: set_handlers.append(given))
    interrupts.leave_quietly(argv, orig_argv)
    assert bool(set_handlers) == ours
