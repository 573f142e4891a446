"""A process that forks workers and does nothing else, so that a fork finds no threads, no locks and no GPU in use.

PyTorch's threads and a GPU that is in use do not survive a fork. So workers are not forked from the driver itself, but
from a server: one that is forked from the driver before it has computed anything, with all it has imported, or, where
the driver has threads already, one that is started anew and imports everything once for all workers.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import NoReturn

from pipeline.errors import PipelineError

_START = "start"  # a request of the driver; any other one is the process ID of a worker whose end is awaited
_SERVER_CODE = "from pipeline.local.fork_server import serve_inherited; serve_inherited({fd})"


@dataclass(frozen=True)
class ForkedProcess:
    """A worker process.

    Attributes:
        pid: its process ID.
        connection: the driver's end of the connection with it; the other end closes when the process ends.
    """

    pid: int
    connection: Connection


class ForkServer:
    """The driver's side of a fork server; used by one thread at a time."""

    def __init__(self, *, fork: bool) -> None:
        """Start the server.

        Args:
            fork: whether it may be forked from this process, which has not computed anything with PyTorch yet; it is
                started anew if there are other threads all the same, and where forks are unsafe (macOS).
        """
        self._control, server_end = Pipe()
        if fork and sys.platform == "linux" and threading.active_count() == 1:
            self._pid, self._wait = _fork_server(server_end, self._control)
        else:
            self._pid, self._wait = _start_server(server_end)
        server_end.close()
        self._closed = False

    def start_process(self) -> ForkedProcess:
        """Fork a worker process, which runs `pipeline.local.worker_process.serve`.

        Raises:
            PipelineError: the server has ended.
        """
        driver_end, worker_end = Pipe()
        with self._expect_server():
            self._control.send(_START)
            send_handle(self._control, worker_end.fileno(), self._pid)
            pid = self._control.recv()
        worker_end.close()
        return ForkedProcess(pid, driver_end)

    def wait_exit_code(self, pid: int) -> int:
        """Wait until a worker process has ended; returns its exit status, or minus the signal that killed it.

        Raises:
            PipelineError: the server has ended.
        """
        with self._expect_server():
            self._control.send(pid)
            exit_code: int = self._control.recv()
        return exit_code

    def close(self) -> None:
        """End the server and all worker processes."""
        if not self._closed:
            self._closed = True
            self._control.close()  # the server kills the workers and ends
            self._wait()

    @contextlib.contextmanager
    def _expect_server(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            raise PipelineError(
                "the process that starts workers on this machine has ended; run the same command again to resume"
            ) from error


def _fork_server(server_end: Connection, driver_end: Connection) -> tuple[int, Callable[[], object]]:
    """Fork the server from this process; returns its process ID, and a function that waits for its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        driver_end.close()
        _serve(server_end)
    return pid, lambda: os.waitpid(pid, 0)


def _start_server(server_end: Connection) -> tuple[int, Callable[[], object]]:
    """Start the server as a new Python, which finds the same modules; returns what `_fork_server` returns."""
    code = _SERVER_CODE.format(fd=server_end.fileno())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    command = [sys.executable, "-P", "-c", code]  # -P: the working folder is searched only if it is in the path
    process = subprocess.Popen(command, pass_fds=[server_end.fileno()], env=environment)
    return process.pid, process.wait


def serve_inherited(fd: int) -> NoReturn:
    """Run the server in a process that was started with the server's end of the control connection.

    Args:
        fd: its file descriptor.
    """
    _serve(Connection(fd))


def _serve(control: Connection) -> NoReturn:
    """Fork workers as the driver asks, until its end of the connection closes; then kill those that are left."""
    from pipeline.local import worker_process  # imported once, for all workers

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the driver decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 0)
    os.dup2(devnull, 1)  # what a library prints must not become part of the command's output
    children: set[int] = set()
    try:
        while True:
            request = control.recv()
            if request != _START:
                children.discard(request)
                control.send(_wait(request))
                continue
            fd = recv_handle(control)
            pid = os.fork()
            if pid == 0:
                control.close()
                worker_process.serve(Connection(fd))
            os.close(fd)
            children.add(pid)
            control.send(pid)
    except (EOFError, OSError):
        for pid in children:
            os.kill(pid, signal.SIGKILL)  # those that have ended by themselves are still there, as zombies
            _wait(pid)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _wait(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
