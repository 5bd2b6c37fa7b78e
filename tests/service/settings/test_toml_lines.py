"""Where keys stand in a TOML text."""

import tomllib

from service.settings.toml_lines import lines_of

_TEXT = """# a comment
top = 1
[server] # the server's
"quoted" = 2
  spaced  =  3

text = \"\"\"
[not.a.header
\"\"\"
[models."a b"]
priority=1
[models.'*']
inline = { key = 1 }
dotted.key = 2
"""


def test_each_table_and_key_has_its_line() -> None:
    """Comments, quotes and blanks do not matter; a line inside a text is no table; a dotted key is unknown."""
    tomllib.loads(_TEXT)
    lines = lines_of(_TEXT)
    assert lines == {
        ("top",): 2,
        ("server",): 3,
        ("server", "quoted"): 4,
        ("server", "spaced"): 5,
        ("server", "text"): 7,
        ("models", "a b"): 10,
        ("models", "a b", "priority"): 11,
        ("models", "*"): 12,
        ("models", "*", "inline"): 13,
    }


def test_an_empty_text_has_none() -> None:
    """Nothing is found in nothing."""
    assert lines_of("") == {}
