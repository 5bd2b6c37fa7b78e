"""How rows are put into runs, and where models run."""

from typing import Literal

from pydantic import BaseModel, Field

from service.settings.groups.field import seconds


class RunningSettings(BaseModel):
    """How rows are put into runs, and where models run."""

    max_batch_rows: int = Field(default=512, ge=1, le=65536, description="Most rows in one run of a model.")
    max_queue_rows: int = Field(
        default=8192, ge=1, le=2**24, description="Most rows that may wait for a model; more are refused at once."
    )
    max_queue_delay_seconds: float = seconds(
        0.0, "Longest wait for a batch to fill; 0: a batch never waits for more rows.", most=10
    )
    provider: Literal["cpu", "cuda"] = Field(default="cpu", description="Device that runs the models.")
    allow_fallback: bool = Field(default=False, description="Run on the CPU if CUDA is set but not available.")
    intra_op_threads: int = Field(default=1, ge=1, le=1024, description="Threads that one run of a model may use.")
