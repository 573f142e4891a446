"""Workers of the model of the commit protocol, which die when the model wants them to."""

from itertools import count

from pipeline.config import OutputLayout
from pipeline.errors import ErrorCode, StorageError
from pipeline.outputs import make_writer
from pipeline.runs import RunPaths, mark_failed, new_attempt_name, new_row, write_manifest_file
from pipeline.storage import sha256_hex
from pipeline.workers.pool import WorkerDiedError
from tests.support.in_process_pool import QueueWorkerPool

RUN, OUTPUT = RunPaths("s3://model/run"), "s3://model/out"
ATTEMPT_NUMBERS = count()


class CrashingWorkerPool(QueueWorkerPool):
    """Does the work when it is waited for; `dies` says whether the worker dies over it.

    In a layout with one file a shard, no two attempts give the same bytes: photos may fail in one and not in another.
    """

    def __init__(self, layout, dies):
        super().__init__()
        self.layout, self.dies = layout, dies

    def wait(self):
        item = self.queue.pop(0)
        if self.dies():
            return item, WorkerDiedError("killed")
        name = new_attempt_name(RUN, item.shard, item.attempt)
        writer, rows = make_writer(self.layout, OUTPUT, name), []
        for entry in item.entries:
            rows.append(row := new_row(entry, item.shard, item.attempt))
            data = f"result of {entry.key}".encode()
            if self.layout is not OutputLayout.FILES:
                data += f" by attempt {next(ATTEMPT_NUMBERS)}".encode()
            try:
                writer.add(row, entry.key, data)
            except StorageError as error:
                mark_failed(row, error, ErrorCode.WRITE_FAILED)
            else:
                row |= {"status": "ok", "output_sha256": sha256_hex(data), "output_bytes": len(data)}
        try:
            writer.close(rows)
        except StorageError as error:
            for row in rows:
                row |= dict.fromkeys(("output_uri", "output_sha256", "output_bytes"))
                mark_failed(row, error, ErrorCode.WRITE_FAILED)
        return item, write_manifest_file(RUN, f"{name}.parquet", rows)
