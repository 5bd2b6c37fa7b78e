"""The blocks of a stream that are in flight: which must be sent, which were sent, and which have an answer."""

import time
from collections import deque
from typing import Final

from kan_api.v1 import prediction_pb2
from service.client.streaming.block import Block
from service.client.streaming.pace import Pace

# Most blocks in flight: a server computes at most this many of one stream at once.
MOST_BLOCKS: Final = 64


class BlocksInFlight:
    """Blocks from the moment they are read until their answers are settled.

    Args:
        most_rows: most rows in flight together.

    Attributes:
        pace: how many rows may be sent that have no answer.
    """

    def __init__(self, most_rows: int) -> None:
        self.pace: Final = Pace(most_rows)
        self._most_rows = most_rows
        self._blocks: dict[str, Block] = {}  # oldest first
        self._rows = 0
        self._to_send: deque[Block] = deque()
        self._sent: dict[str, int] = {}  # rows of blocks that were sent and have no answer
        self._answers: dict[str, prediction_pb2.PredictStreamResponse] = {}
        self._paused_until = 0.0

    def __len__(self) -> int:
        return len(self._blocks)

    def has_room(self, block: Block) -> bool:
        """Whether this block may be added. One block alone always may."""
        return not self._blocks or (len(self) < MOST_BLOCKS and self._rows + block.rows <= self._most_rows)

    def add(self, block: Block) -> None:
        """Put a block in flight, until its answer is settled."""
        self._blocks[block.id] = block
        self._to_send.append(block)
        self._rows += block.rows

    def has_unsent(self) -> bool:
        """Whether blocks wait to be sent, or to be sent again."""
        return bool(self._to_send)

    def next_to_send(self) -> prediction_pb2.PredictRequest | None:
        """The request to send next; None if none may be sent now."""
        if not self._to_send or self.pause_seconds():
            return None
        rows = self._to_send[0].rows
        if self._sent and sum(self._sent.values()) + rows > self.pace.rows:
            return None
        block = self._to_send.popleft()
        self._sent[block.id] = rows
        return block.request

    def send_all_again(self) -> None:
        """Send all blocks without an answer again, the oldest first."""
        self._to_send = deque(block for block in self._blocks.values() if block.id not in self._answers)
        self._sent.clear()

    def is_awaited(self, block_id: str) -> bool:
        """Whether a block has this number and no answer."""
        return block_id in self._blocks and block_id not in self._answers

    def send_again(self, block_id: str) -> None:
        """Send a block again, before all others."""
        self._sent.pop(block_id, None)
        self._answers.pop(block_id, None)
        self._to_send.appendleft(self._blocks[block_id])

    def pause(self, seconds: float) -> None:
        """Send nothing for ``seconds``, because a full server refused a block."""
        self._paused_until = time.monotonic() + seconds

    def pause_seconds(self) -> float:
        """The rest of the pause; 0 if requests may be sent."""
        return max(0.0, self._paused_until - time.monotonic())

    def keep(self, answer: prediction_pb2.PredictStreamResponse) -> None:
        """Keep an answer until its turn comes."""
        self._sent.pop(answer.id, None)
        self.pace.count_answer()
        self._answers[answer.id] = answer

    def ready(self) -> tuple[Block, prediction_pb2.PredictStreamResponse] | None:
        """The oldest block and its answer, if that has arrived; otherwise None."""
        oldest = next(iter(self._blocks.values()), None)
        if oldest is None or oldest.id not in self._answers:
            return None
        return oldest, self._answers[oldest.id]

    def settle(self, block: Block) -> None:
        """Remove a block whose answer is taken."""
        del self._answers[block.id]
        self._rows -= self._blocks.pop(block.id).rows
