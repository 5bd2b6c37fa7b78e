"""docs/security.md: each threat names a test that there is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_threat_names_a_test() -> None:
    """In the threat model every row has a test, every named file is there, and has the named test."""
    text = (ROOT / "docs" / "security.md").read_text().partition("## Threat model")[2]
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    file = ""
    for row in rows:
        named = re.findall(r"`(tests/\S+\.py|…)(?:::(\w+))?`", row)
        assert named, row
        for path, test in named:
            file = file if path == "…" else path
            source = (ROOT / file).read_text()
            assert f"def {test}(" in source if test else "def test_" in source, (file, test)
