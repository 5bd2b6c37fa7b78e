"""Turn a syntax error of TOML into a message with the line and, for usual mistakes, what was wanted."""

import re
import tomllib

_PLACE = re.compile(r"(?P<reason>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)", re.DOTALL)
_SHOWN = 60


def explain_syntax(text: str, error: tomllib.TOMLDecodeError) -> str:
    """One line: where the mistake is, the line itself, and what was wanted there.

    Args:
        text: The document.
        error: What its parsing raised.
    """
    found = _PLACE.fullmatch(str(error))
    if found is None:
        return f"not valid TOML: {error}"
    number, column = int(found["line"]), int(found["column"])
    # tomllib counts lines and columns so.
    line = text.replace("\r\n", "\n").split("\n")[number - 1]
    shown = line.strip() if len(line.strip()) <= _SHOWN else line.strip()[: _SHOWN - 1] + "…"
    wanted = _wanted(found["reason"], line, column)
    return f"not valid TOML (at line {number}, column {column}): {shown}: {wanted}"


def _wanted(reason: str, line: str, column: int) -> str:
    if reason == "Cannot overwrite a value" and line.strip().startswith("["):
        return "there is a key of this name already; wanted either the key or the section"
    if reason == "Cannot overwrite a value":
        return "the key is there twice in its section; wanted it once"
    if re.fullmatch(r"Cannot declare .* twice", reason):
        return "the section is there twice; wanted it once"
    if reason != "Invalid value":
        return reason[:1].lower() + reason[1:]
    value = line[column - 1 :].split("#")[0].strip()
    word = re.split(r"[\s,\]}]", value)[0]
    if word.lower() in ("true", "false"):
        return f"wanted {word.lower()} in small letters"
    if word.lower() in ("none", "null", "nil"):
        return f"TOML has no {word}; leave the key out"
    if re.fullmatch(r"[-+]?\.\d.*", word):
        return f"wanted a digit before the point: {word.replace('.', '0.', 1)}"
    if word.startswith("("):
        return "wanted a list in square brackets, e.g. [1, 2]"
    if re.match(r"[^\W\d]", word) and "\\" in word:
        # In double quotes a backslash begins an escape, such as \t in C:\tables.
        return f"wanted text in single quotes, e.g. '{word}'"
    if re.match(r"[^\W\d]", word):
        return f'wanted text in double quotes, e.g. "{word}"'
    return f"wanted text in double quotes, a number, true, false or a list{'' if value else '; there is no value'}"
