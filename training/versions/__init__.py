"""The versions of a model repository, for the person who answers for them: list them, go back to an earlier one.

A rollback withdraws the newest version: its folder `models/digits/3` becomes `models/digits/.withdrawn-3`, in one step.
kan-serve then serves version 2. The next publication gets the number 4, because clients and logs know another 3.
"""

from training.versions.listing import ListedVersion, list_versions, version_lines
from training.versions.rollback import Rollback, roll_back

__all__ = ["ListedVersion", "Rollback", "list_versions", "roll_back", "version_lines"]
