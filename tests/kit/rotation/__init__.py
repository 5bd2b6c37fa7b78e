"""Certificates, authorities and tokens of a server are renewed again and again, under callers who need all of them.

Of generation n are the server's certificate n, the authority of callers n, the caller's certificate n and the token n.
A rotation to n puts these on disk: certificate n, the authorities n - 1 and n, the tokens n - 1 and n. Callers move
from n - 1 to n once the server takes n; before the next rotation each of them has made a call with n. So every call has
what the server wants, and none may fail.
"""

from tests.kit.rotation.files import RotatedFiles
from tests.kit.rotation.rotations import Rotated, rotate

__all__ = ["Rotated", "RotatedFiles", "rotate"]
