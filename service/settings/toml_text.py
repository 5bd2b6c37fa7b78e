"""Text as TOML writes it."""


def quoted(text: str) -> str:
    """A basic string of TOML. What cannot be seen is escaped, so that a line shows all of it."""
    escaped = "".join(f"\\U{ord(each):08x}" if each in '"\\' or not each.isprintable() else each for each in text)
    return f'"{escaped}"'
