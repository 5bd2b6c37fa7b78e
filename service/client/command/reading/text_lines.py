"""The lines of a text in UTF-8. A line that is not UTF-8 does not end the text: it is noted, and its row is refused."""

import itertools
from collections.abc import Iterator
from typing import Final, Protocol

from service.client.errors import InvalidInput

_LONGEST_LINE_BYTES: Final = 2**24
# The first bytes of files that people take for text, and what to do with them.
_NO_TEXT: Final = {
    b"\xff\xfe": "the text is UTF-16; save it as UTF-8",
    b"\xfe\xff": "the text is UTF-16; save it as UTF-8",
    b"PAR1": "this is Parquet; wanted CSV or JSON lines (in pandas: read_parquet(...).to_csv(..., index=False))",
    b"\x1f\x8b": "this is compressed; wanted text (on a shell: zcat FILE | kan-client predict MODEL)",
    b"PK\x03\x04": "this is a spreadsheet or a zip file; wanted text (save a spreadsheet as 'CSV UTF-8')",
}


class ByteLines(Protocol):
    """A stream of lines."""

    def readline(self, size: int = ..., /) -> bytes:
        r"""The next line with its "\n", cut after `size` bytes; b"" at the end of the stream."""


class TextLines:
    r"""The lines of a text, each with its "\n".

    Args:
        stream: the text as bytes.
        source: name of the stream, for messages.

    Attributes:
        faults: for each line read so far that is not UTF-8, by its number, counted from 1: what is wrong with it.
    """

    def __init__(self, stream: ByteLines, source: str) -> None:
        self.faults: Final[dict[int, str]] = {}
        self._stream = stream
        self._source = source

    def __iter__(self) -> Iterator[str]:
        """Each line. The bytes that are not UTF-8 are replaced by U+FFFD.

        Raises:
            InvalidInput: when the text is UTF-16 or no text at all, or a line is longer than 16 MiB.
        """
        for number in itertools.count(1):
            content = self._stream.readline(_LONGEST_LINE_BYTES)
            if not content:
                return
            if len(content) == _LONGEST_LINE_BYTES:
                raise InvalidInput(
                    f"{self._source}: line {number} is longer than {_LONGEST_LINE_BYTES} bytes; is this text?"
                )
            if number == 1:
                for beginning, what in _NO_TEXT.items():
                    if content.startswith(beginning):
                        raise InvalidInput(f"{self._source}: {what}")
            encoding = "utf-8-sig" if number == 1 else "utf-8"
            try:
                line = content.decode(encoding)
            except UnicodeDecodeError as error:
                self.faults[number] = (
                    f"holds the byte 0x{content[error.start]:02X}, which is not UTF-8; save the text as UTF-8 "
                    "(spreadsheets call it 'CSV UTF-8'; on a shell: iconv -f CP1252 -t UTF-8)"
                )
                line = content.decode(encoding, "replace")
            yield line
