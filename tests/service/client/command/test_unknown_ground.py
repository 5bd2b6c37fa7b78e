"""kan-client looks at the ground of a file's rows: unknown cells are told by column, refused rows left out."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kan_api.v1 import manifest_pb2 as pb
from service.client import Client, InvalidInput
from service.client.answers import Ground, UnknownCell
from service.client.command.predict_file import Outcome, PredictionJob, predict_file
from service.client.command.unknown_ground import UnknownGround
from service.client.encoding.rows import features, rows_of
from service.client.encoding.table_rows import TableRows
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import serving

GAP = pb.Histogram(edges=[19, 43, 48, 79], counts=[5, 0, 5])


def flats(policy: str = "") -> pb.ModelManifest:
    """Ages from 19 to 79 without any from 43 to 47, towns by target, words, days from 2024-03-01 on, and a constant."""
    statistics = pb.TargetStatistics(words=["Ulm"], values=[1.5], prior=[9.0])
    manifest = pb.ModelManifest(
        unknown_ground=policy,
        columns=[
            pb.Column(name="age"),
            pb.Column(name="town", statistics=statistics),
            pb.Column(name="day", date=pb.DateEncoding(format="iso", first_day="2024-03-01")),
            pb.Column(name="number of floors"),
        ],
        features=[
            pb.Feature(name="age", column="age", low=19, high=79, histogram=GAP),
            pb.Feature(name="town", column="town", low=1, high=2, histogram=pb.Histogram(edges=[1, 2], counts=[5])),
        ],
    )
    for part, high in (("days", 30.0), ("month", 12.0), ("weekday", 7.0)):
        one = pb.Histogram(edges=[0, high], counts=[10])
        manifest.features.add(name=f"day: {part}", column="day", category=part, low=0, high=high, histogram=one)
    manifest.features.add(name="number of floors", column="number of floors", low=4, high=4, constant=True)
    return manifest


def table(*rows: tuple[object, ...]) -> TableRows:
    """Rows of age, town, day and floors."""
    names = ["age", "town", "day", "number of floors"]
    return rows_of([dict(zip(names, row, strict=True)) for row in rows], names, lambda row: f"t: row {row + 1}")


def lines(manifest: pb.ModelManifest, *blocks: TableRows) -> list[str]:
    """What is said after these blocks."""
    ground = UnknownGround(manifest)
    assert not ground.asks_server
    for block in blocks:
        ground.add(block, range(block.count), features(manifest, block), None)
    return ground.lines()


KNOWN = (30, "Ulm", "2024-03-05", 4)


def test_nothing_is_said_of_known_ground() -> None:
    """No line."""
    assert lines(flats(), table(KNOWN, KNOWN)) == []


def test_each_reason_has_a_line_with_its_columns() -> None:
    """Values as in the table: numbers, words, dates; rows are counted once, however many of their cells are unknown."""
    told = lines(
        flats(),
        table(KNOWN, (500, "Ulm", "2024-12-24", 5), (18, "Bern", "2024-03-05", 4)),
        table((45, "Ulm", "2024-03-05", 4), (43.5, "Basel", "2024-03-05", 4), KNOWN),
    )
    assert told == [
        "warning: 2 of 6 rows outside the training range: age 18 to 500 (19 to 79), day 2024-12-24 (2024-03-01 to "
        '2024-03-31), "number of floors" 5 (only 4)',
        "warning: 2 of 6 rows in a gap of the training data: age 43.5 to 45",
        'warning: 2 of 6 rows with a word that training never had: town "Basel", "Bern"',
    ]


def test_the_example_of_the_documentation() -> None:
    """One value."""
    assert lines(flats(), table(*[KNOWN] * 4, (500, *KNOWN[1:]))) == [
        "warning: 1 of 5 rows outside the training range: age 500 (19 to 79)"
    ]


def test_many_columns_and_many_words_are_counted() -> None:
    """The five columns with the most such cells; three words."""
    names = [f"x{place}" for place in range(8)]
    one = pb.Histogram(edges=[0, 1], counts=[2])
    manifest = pb.ModelManifest(
        columns=[pb.Column(name=name) for name in names],
        features=[pb.Feature(name=name, column=name, low=0, high=1, histogram=one) for name in names],
    )
    rows = [{name: 9 if place >= row else 0 for place, name in enumerate(names)} for row in range(8)]
    (told,) = lines(manifest, rows_of(rows, names))
    ranges = ", ".join(f"x{place} 9 (0 to 1)" for place in (7, 6, 5, 4, 3))
    assert told == f"warning: 8 of 8 rows outside the training range: {ranges} and 3 more columns"
    (told,) = lines(flats(), table(*[(30, f"town{place}", "2024-03-05", 4) for place in range(9)]))
    assert told == (
        'warning: 9 of 9 rows with a word that training never had: town "town0", "town1", "town2" and others'
    )


@pytest.mark.parametrize("policy", ["flag", "refuse"])
def test_refused_rows_are_named_by_their_place_and_first_cell(policy: str) -> None:
    """Only under the policy "refuse"; rows that are bad already are not looked at."""
    manifest = flats(policy)
    block = table(KNOWN, KNOWN, (500, "Bern", "2024-03-05", 4), KNOWN, (18, *KNOWN[1:]), (30, "Bern", *KNOWN[2:]))
    good = [0, 2, 3, 5]
    matrix = features(manifest, block)[good]
    refused = {
        2: 't: row 3: column "age" is 500, training had 19 to 79; the model refuses such rows',
        5: 't: row 6: column "town" holds "Bern", a word that training never had; the model refuses such rows',
    }
    assert UnknownGround(manifest).refused(block, good, matrix) == (refused if policy == "refuse" else {})


def test_what_the_server_tells_is_said_too() -> None:
    """If GetModel left the histograms out. A column and a reason that are not known here are passed over."""
    manifest = flats()
    for feature in manifest.features:
        feature.ClearField("histogram")
    ground = UnknownGround(manifest)
    assert ground.asks_server
    block = table(KNOWN, (500, "Ulm", "2024-03-05", 4), (45, "Bern", "2024-03-05", 4))
    cells = (
        UnknownCell(1, "age", "outside_range", 500.0),
        UnknownCell(2, "age", "empty_cell", 45.0),
        UnknownCell(2, "town", "unseen_word", float("nan")),
        UnknownCell(2, "town", "too_loud", 1.0),
        UnknownCell(2, "height", "outside_range", 1.0),
    )
    matrix = np.zeros((3, 6), np.float32)
    ground.add(block, range(3), matrix, Ground(True, 2, 5, cells))
    assert ground.lines() == [
        "warning: 1 of 3 rows outside the training range: age 500 (19 to 79)",
        "warning: 1 of 3 rows in a gap of the training data: age 45",
        'warning: 1 of 3 rows with a word that training never had: town "Bern"',
    ]
    ground.add(block, range(3), matrix, Ground(True, 3, 5000, cells))
    assert ground.lines()[0] == "warning: at least 2 of 6 rows outside the training range: age 500 (19 to 79)"


def test_of_a_version_without_histograms_nothing_is_said() -> None:
    """The server says that it knows nothing."""
    manifest = flats()
    for feature in manifest.features:
        feature.ClearField("histogram")
    ground = UnknownGround(manifest)
    ground.add(table(KNOWN), range(1), np.zeros((1, 6), np.float32), Ground(False, 0, 0, ()))
    ground.add(table(KNOWN), range(1), np.zeros((1, 6), np.float32), None)
    assert ground.lines() == []


TEXT = "x0,x1,x2,x3\n0,0,0,0\n0,500,0,0\n0,0,1.5,0\n0,0,0,0\n0,x,0,0\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one model for each policy."""
    folder = tmp_path_factory.mktemp("models")
    for policy in ("answer", "refuse"):
        write_version(folder, "affine", name=policy, change=with_ground(policy, cells=3))
    return folder


@pytest.fixture(scope="module", params=["whole manifests", "manifests without histograms"])
def server(request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A kan-serve of them; the second has no room for histograms in an answer of GetModel."""
    flags = ("--max-message-bytes", "1024") if "without" in request.param else ()
    with serving(models, *flags, log=tmp_path_factory.mktemp("log") / "log") as started:
        with Client(started.grpc) as client:
            has_histograms = client.manifest("refuse").features[0].HasField("histogram")
        assert has_histograms == (not flags)
        yield started.grpc


def predict(server: str, model: str, *, strict: bool = False, text: str = TEXT) -> tuple[Outcome, list[str], list[str]]:
    """Run `kan-client predict`: the outcome, the answers, the messages."""
    job = PredictionJob(model, None, "t", "csv", "csv", False, None, strict=strict)
    out, told = io.StringIO(), list[str]()
    with Client(server, 60) as client:
        outcome = predict_file(client, job, io.BytesIO(text.encode()), out, told.append)
    return outcome, out.getvalue().splitlines()[1:], told


def test_rows_on_unknown_ground_are_answered_and_told(server: str) -> None:
    """After the answers; whether the manifest has the histograms or only the server."""
    outcome, answers, told = predict(server, "answer")
    assert outcome.has_bad_row
    assert [bool(answer.strip('"')) for answer in answers] == [True, True, True, True, False]
    assert told[1:] == [
        "warning: 1 of 4 rows outside the training range: x1 500 (-1 to 3)",
        "warning: 1 of 4 rows in a gap of the training data: x2 1.5",
        "t: 1 of 5 rows has no answer",
    ]


def test_refused_rows_get_no_answer_and_the_others_do(server: str) -> None:
    """They are named with the reason, as other bad rows are."""
    outcome, answers, told = predict(server, "refuse")
    assert outcome.has_bad_row
    assert [bool(answer.strip('"')) for answer in answers] == [True, False, False, True, False]
    assert len(told) == 4
    assert told[0].startswith("t: row 2 (line 3): ")
    assert 'column "x1" is 500, training had -1 to 3' in told[0]
    assert told[1].startswith("t: row 3 (line 4): ")
    assert 'column "x2" is 1.5, in a gap of the training rows' in told[1]
    assert told[3] == "t: 3 of 5 rows have no answer"


def test_a_strict_file_ends_at_the_first_refused_row(server: str) -> None:
    """As at any bad row."""
    with pytest.raises(InvalidInput, match='column "x1" is 500, training had -1 to 3'):
        predict(server, "refuse", strict=True, text=TEXT.replace("x,0,0\n", "0,0,0\n"))


def test_a_file_of_refused_rows_has_no_answer(server: str) -> None:
    """Nothing is left to send."""
    outcome, answers, told = predict(server, "refuse", text="x0,x1,x2,x3\n9,9,9,9\n")
    assert outcome.has_bad_row
    assert [answer.strip('"') for answer in answers] == [""]
    assert told[-1] == "t: 1 of 1 rows has no answer"
