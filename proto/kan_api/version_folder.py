"""Which folders of a model are its versions: one rule for kan-train and kan-serve.

A version folder is named by its number: 1 to 999999999999999999, in ASCII digits, without a leading zero. 18 digits fit
the protocol's int64. Without leading zeros each version has one folder. Other folders are no versions.
"""

import re

MAX_VERSION = 10**18 - 1
_NAME = re.compile(r"[1-9][0-9]{0,17}")


def version_number(folder_name: str) -> int | None:
    """The version whose folder has this name; None if no version's folder can have it."""
    return int(folder_name) if _NAME.fullmatch(folder_name) else None
