"""The process of the load generator, which runs jobs one after another."""

import pickle
import subprocess
import sys
from contextlib import suppress
from typing import IO, Any

from benchmarks.common.load_job import Job, LoadError, LoadResult


class LoadProcess:
    """The process of the load generator; use it in a `with` statement."""

    def __enter__(self) -> "LoadProcess":
        command = [sys.executable, "-m", "benchmarks.common.load"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._jobs: IO[bytes] = self._process.stdin
        self._results: IO[bytes] = self._process.stdout
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._jobs, self._results):
            with suppress(BrokenPipeError):
                pipe.close()
        self._process.terminate()
        self._process.wait()

    def run(self, job: Job) -> LoadResult:
        """Run a job and wait for its result.

        Raises:
            LoadError: the load could not be measured. The message tells why, and the job.
        """
        pickle.dump(job, self._jobs)
        self._jobs.flush()
        found: Any = pickle.load(self._results)
        if isinstance(found, LoadResult):
            return found
        raise LoadError(f"{job}: {found}")
