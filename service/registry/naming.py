"""Names and versions as messages have them."""

# Enough names to find a typing error in, and few enough for a status message.
_NAMES_SHOWN = 20


def quote_name(name: str) -> str:
    """A name from a request in quotes, cut to a length that fits a message."""
    return repr(name if len(name) <= 80 else name[:80] + "…")


def join_some(items: list[str] | list[int]) -> str:
    """Names or versions, the first of them and the number of the others."""
    more = f" and {len(items) - _NAMES_SHOWN} more" if len(items) > _NAMES_SHOWN else ""
    return ", ".join(map(str, items[:_NAMES_SHOWN])) + more if items else "none"
