import signal
import subprocess
import sys
import time

import pytest

# A job in the middle of something that holds a signal up.
JOB = """
import sys, time
from anomdiff.jobs.runs import stopping
stopping.GRACE = 1.0
{work}
with stopping.ends_on_signals():
    try:
        print("began", flush=True)
        work()
    finally:
        print("unwound", flush=True)
print("went on", flush=True)
"""
WAITS = "def work():\n    time.sleep(60)"
SWALLOWS = """
def work():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
# A call into a library that does not return, and lets no Python handler run.
NATIVE = """
import ctypes
def work():
    libc = ctypes.CDLL(None)
    while True:
        libc.poll(None, 0, 60_000)
"""


def _ended(work, number, times=1):
    command = [sys.executable, "-c", JOB.format(work=work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "began\n"
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.3)
        told, _ = process.communicate(timeout=30)
        return process.returncode, told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unwinds_and_tells_its_number(number):
    patient = "stopping.GRACE = 30.0\n" + WAITS

    assert _ended(patient, number) == (128 + number, "unwound\n")


@pytest.mark.parametrize("work", [SWALLOWS, NATIVE], ids=["swallowed", "native"])
def test_a_job_ends_even_where_the_signal_does_not_get_through(work):
    code, told = _ended(work, signal.SIGTERM)

    assert code == 128 + signal.SIGTERM
    assert "went on" not in told


def test_a_second_signal_ends_a_job_on_the_spot():
    work = "from anomdiff.jobs.runs import stopping\nstopping.GRACE = 600.0\n" + SWALLOWS

    assert _ended(work, signal.SIGINT, times=2)[0] == 128 + signal.SIGINT


def test_what_ends_by_itself_is_not_ended(tmp_path):
    code = JOB.format(work="def work():\n    pass") + "time.sleep(1.5)\nprint('done')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:4] == ["began", "unwound", "went on", "done"]
