"""What a local worker process does: it loads the models of a job and answers the calls of the driver."""

import copy
import logging
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal, NoReturn

from pipeline.config import Job
from pipeline.errors import PipelineError
from pipeline.telemetry import LogFormat, configure_logging
from pipeline.workers import MAX_TASKS_IN_FLIGHT, JobWorker

_OOM_SCORE = "500"  # of 1000: where memory runs out, the kernel ends a worker and not the driver


@dataclass(frozen=True)
class WorkerSetup:
    """The first message to a worker process.

    Attributes:
        job: the job whose models it loads.
        allow_code: whether the job may name `module:factory`.
        log_format: the format of its log lines.
        verbose: whether it logs more than warnings, and shows what libraries print.
        cores: the number of cores that it may use for reading, encoding and writing.
        gpu: the number of the GPU that it uses; None for none.
    """

    job: Job
    allow_code: bool
    log_format: LogFormat
    verbose: bool
    cores: int
    gpu: int | None


@dataclass(frozen=True)
class Call:
    """A call of a worker process.

    Attributes:
        key: the number of the call, which its answer repeats.
        method: the method of `JobWorker` that is called: `run` or `process`.
        arguments: its arguments.
    """

    key: int
    method: Literal["run", "process"]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """The answer to a call, or, with the key None, to the setup.

    Attributes:
        key: the number of the call.
        result: what the call returned.
        error: what it raised; None if it returned.
        trace: the lines of the error's traceback in the worker.
    """

    key: int | None
    result: Any = None
    error: Exception | None = None
    trace: str = ""


def send_message(connection: Connection, message: WorkerSetup | Call | Answer) -> None:
    """Send a message with plain pickle: `Connection.send` would send tensors as shared memory, by PyTorch's choice."""
    connection.send_bytes(pickle.dumps(message))


def serve(connection: Connection) -> NoReturn:
    """Load the models that the first message names and answer calls; ends when the driver closes the connection."""
    try:
        _serve(connection)
    except (EOFError, OSError):
        os._exit(0)  # the driver has closed the connection, or has ended
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _serve(connection: Connection) -> NoReturn:
    setup: WorkerSetup = connection.recv()
    _configure_process(setup)
    lock = threading.Lock()

    def send(answer: Answer) -> None:
        with lock:
            try:
                send_message(connection, answer)
            except (EOFError, OSError):
                raise
            except Exception as error:  # it cannot be pickled
                problem = PipelineError(f"a worker cannot send its result: {type(error).__name__}: {error}")
                send_message(connection, Answer(answer.key, error=problem))

    try:
        worker = JobWorker(setup.job, setup.allow_code, setup.cores)
    except Exception as error:
        send(_failure(None, error))
        raise EOFError from error  # the driver has the reason
    send(Answer(None))
    executor = ThreadPoolExecutor(MAX_TASKS_IN_FLIGHT, "call")  # never shut down: that would wait for its calls
    while True:
        executor.submit(_answer, worker, connection.recv(), send)


def _answer(worker: JobWorker, call: Call, send: Callable[[Answer], None]) -> None:
    try:
        answer = Answer(call.key, getattr(worker, call.method)(*call.arguments))
    except Exception as error:
        answer = _failure(call.key, error)
    with suppress(EOFError, OSError):  # the driver has closed the connection; `serve` notices, too
        send(answer)


def _failure(key: int | None, error: Exception) -> Answer:
    trace = "".join(traceback.format_exception(error))
    try:
        copy.copy(error)  # works as pickle does: an exception that needs more arguments than it keeps cannot be sent
    except Exception:
        error = PipelineError(f"{type(error).__name__}: {error}")
    return Answer(key, error=error, trace=trace)


def _configure_process(setup: WorkerSetup) -> None:
    """Set up logging, standard error, the visible GPU, memory pages, and whom the kernel ends where memory runs out."""
    logging.getLogger().handlers.clear()  # those of the driver, if this process was forked with them
    if setup.log_format is LogFormat.JSON:
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    if not setup.verbose:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries print would spoil JSON lines and progress bars
    configure_logging(setup.log_format, setup.verbose)
    if setup.gpu is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    else:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[setup.gpu] if visible else str(setup.gpu)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages for PyTorch's tensors: a tenth less time on a CPU
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(_OOM_SCORE)
