"""The file that a drafted recipe is written to."""

import os
import tempfile
from pathlib import Path

from training.errors import RecipeError, kind_of


def check_output(path: Path, table: Path) -> None:
    """Refuse an output that no recipe can be written to, before the table is read.

    Args:
        path: The file to write.
        table: The table that the recipe is for.

    Raises:
        RecipeError: the path is a folder or the table itself, or lies in a folder that does not exist.
    """
    if path.is_dir():
        raise RecipeError(f"{path}: this is a folder; wanted a file, such as {path / (table.stem + '.toml')}")
    if not path.parent.is_dir():
        raise RecipeError(f"{path}: there is no folder {path.parent}; wanted a file in a folder that exists")
    if path.exists() and table.exists() and path.samefile(table):
        raise RecipeError(f"{path}: this is the table; wanted another file for the recipe")


def write_recipe(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a recipe to a file, whole or not at all.

    Args:
        path: The file.
        text: The recipe.
        replace: Whether a file that exists is replaced; a folder never is.

    Raises:
        RecipeError: the file exists already (it is not changed), or cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp") as folder:
            file = Path(folder) / path.name
            with file.open("wb") as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            file.chmod(0o644)
            # A link, unlike a rename, never replaces an existing file.
            (os.replace if replace else os.link)(file, path)
    except FileExistsError:
        raise RecipeError(f"{path}: the file exists already; --force replaces it, --output writes another") from None
    except OSError as error:
        raise kind_of(error, RecipeError)(f"{path}: cannot write it: {error.strerror or error}") from None
