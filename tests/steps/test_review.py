"""The reviewer's site: what it shows of a release, how a browser shows it, and that it scales."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
from PIL import Image

import curate
from curate import contract
from curate.core.digests import sha256_file
from curate.core.errors import InputError
from curate.pixels.render.windows import EVERYTHING, frames, shown
from curate.steps.review import review_site, series_rendering
from curate.verify.checks.disclosure import ReleaseRisk
from curate.verify.checks.seal import Seal
from tests.pages.browser import VIEWS, needs_browser, pages_of, visit

GOLDEN = Path(__file__).resolve().parents[2] / "manifests" / "golden"


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the golden release beside itself, every series drawn."""
    out = tmp_path_factory.mktemp("review") / "site"
    curate.review(GOLDEN, out, against=GOLDEN, sample=0, workers=1)
    return out


def test_every_frame_is_there_in_every_window(reviewed: Path) -> None:
    """The strips of a series hold all its frames, pixel for pixel, through the full range."""
    instances = pq.read_table(GOLDEN / "manifest" / "instances.parquet").to_pylist()
    series = pq.read_table(GOLDEN / "manifest" / "series.parquet")["SeriesInstanceUID"].to_pylist()
    numbers = {uid: number for number, uid in enumerate(sorted(series), 1)}
    for uid, number in numbers.items():
        rows = sorted((r for r in instances if r["SeriesInstanceUID"] == uid), key=lambda r: r["slice_index"])
        expected = []
        for row in rows:
            with (GOLDEN / row["pack"]).open("rb") as file:
                file.seek(row["offset_bytes"])
                dataset = pydicom.dcmread(io.BytesIO(file.read(row["size_bytes"])))
            expected += [shown(dataset, frame, EVERYTHING) for frame in frames(dataset)]
        strips = sorted(
            (reviewed / "images").glob(f"{number}-full-range-*.png"),
            key=lambda p: int(p.stem.rsplit("-", 1)[1]),
        )
        drawn = np.concatenate([np.asarray(Image.open(path)).reshape(-1) for path in strips])
        assert np.array_equal(drawn, np.concatenate([frame.reshape(-1) for frame in expected]))


def test_header_shows_text_as_text(reviewed: Path) -> None:
    """The header page lists what the instance holds, nested items and the file meta included."""
    text = (reviewed / "series" / "1.html").read_text()
    for word in (
        "TransferSyntaxUID",
        "PatientIdentityRemoved",
        "DeidentificationMethodCodeSequence",
        "&gt; (0008,0100)",
    ):
        assert word in text


def test_a_value_with_markup_or_a_formula_shows_as_text(tmp_path: Path) -> None:
    """Markup and formulas in a manifest's text reach neither the page nor the spreadsheet as such."""
    release = tmp_path / "1.0.0"
    shutil.copytree(GOLDEN, release)
    path = release / "manifest" / "studies.parquet"
    table = pq.read_table(path)
    bad = ['=HYPERLINK("http://x")', "<script>x</script>"] * table.num_rows
    titles = pa.array(bad[: table.num_rows], pa.string())
    at = table.schema.get_field_index("diagnosis_title")
    pq.write_table(table.set_column(at, table.schema.field(at), titles), path)
    made = curate.review(release, tmp_path / "site", sample=1, workers=1)
    assert not made.passed
    page = (tmp_path / "site" / "studies" / "1.html").read_text()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    with (tmp_path / "site" / "studies.csv").open() as file:
        assert {row["diagnosis_title"][:2] for row in csv.DictReader(file)} == {"'=", "<s"}
    assert "The release does not pass its checks" in (tmp_path / "site" / "index.html").read_text()


def test_sample_is_the_same_for_everybody_and_its_bound_is_stated(tmp_path: Path) -> None:
    """A sample is a function of the release's bytes; the page says how much nothing found in it proves."""
    one = curate.review(GOLDEN, tmp_path / "one", sample=6, workers=1)
    curate.review(GOLDEN, tmp_path / "two", sample=6, workers=1)
    assert (one.drawn, one.bound) == (6, "0.5000")
    assert (tmp_path / "one" / "sample.html").read_bytes() == (tmp_path / "two" / "sample.html").read_bytes()
    assert "below 50.0 % at 95%" in (tmp_path / "one" / "sample.html").read_text()
    assert len(list((tmp_path / "one" / "series").iterdir())) == 6


def test_what_no_decoder_serves_is_said(tmp_path: Path) -> None:
    """An instance whose pixels cannot be decoded is counted on its page, and the rest of the site is there."""
    row = pq.read_table(GOLDEN / "manifest" / "instances.parquet").to_pylist()[0]
    with (GOLDEN / row["pack"]).open("rb") as file:
        file.seek(row["offset_bytes"])
        dataset = pydicom.dcmread(io.BytesIO(file.read(row["size_bytes"])))
    dataset.PixelData = dataset.PixelData[:10]
    broken = tmp_path / "broken.dcm"
    dataset.save_as(broken)
    (tmp_path / "images").mkdir()
    task = series_rendering.SeriesTask(1, "1", "CT", ((broken, 0, broken.stat().st_size),), tmp_path)
    looked = series_rendering.render_series(task)
    assert (looked.frames, looked.undecoded, looked.strips) == (0, 1, ())


def test_sheet_of_another_release_is_refused(tmp_path: Path) -> None:
    """A sheet that is of other bytes is not shown beside these."""
    entry = {
        "format": "curate/decisions/v1",
        "version": "1.0.0",
        "release": "0" * 64,
        "findings": [],
        "series": [],
    }
    path = tmp_path / "decisions.json"
    path.write_text(json.dumps(entry))
    with pytest.raises(InputError, match="other bytes"):
        curate.review(GOLDEN, tmp_path / "site", decisions=path, workers=1)
    entry["release"] = sha256_file(GOLDEN / "release.json")
    path.write_text(json.dumps(entry))
    curate.review(GOLDEN, tmp_path / "site", decisions=path, sample=1, workers=1)
    assert "0 of 0 series of the sample were opened" in (tmp_path / "site" / "sheet.html").read_text()


def test_ten_thousand_studies_come_in_parts_below_5_mb(tmp_path: Path) -> None:
    """Pages of 10,000 studies are built in a stream, each below 5 MB; the CSV has every row."""
    count = 10_000
    (tmp_path / "release" / "manifest").mkdir(parents=True)
    for name in contract.MANIFEST_TABLES:
        schema = contract.table(name).schema
        rows = count if name in ("studies", "series", "evidence") else 0
        columns = {field.name: _filled(field, rows) for field in schema}
        pq.write_table(pa.table(columns, schema=schema), tmp_path / "release" / "manifest" / f"{name}.parquet")
    content = json.loads((GOLDEN / "release.json").read_text())
    content["counts"] |= {"studies": count, "series": count}
    content["files"] = {}
    out = tmp_path / "site"
    (out / "previews").mkdir(parents=True)
    numbers = {f"2.25.{n:038d}": n for n in range(1, 61)}
    seal = Seal(tmp_path / "release", "1.0.0", content)
    assert review_site._study_pages(review_site._Shown(out, seal, "0" * 64, (), numbers)) == 40
    sizes = [path.stat().st_size for path in (out / "studies").iterdir()]
    assert len(sizes) == 40
    assert max(sizes) < 5_000_000
    with (out / "studies.csv").open() as file:
        assert sum(1 for _ in csv.reader(file)) == count + 1


def test_risk_is_drawn_by_class_size() -> None:
    """Donors by the size of their class, the bands in words."""
    measured = ReleaseRisk("1.0.0", 11, "open", False, None, {}, {11: 22, 20: 40}, ())
    drawn = review_site._sizes(measured)
    assert "11 to 19 alike" in drawn
    assert "20 or more alike" in drawn


def _filled(field: pa.Field, rows: int) -> pa.Array:
    if field.name in ("study_id", "SeriesInstanceUID"):
        return pa.array([f"2.25.{n:038d}" for n in range(rows)], field.type)
    if field.name == "payload":
        return pa.array(['{"warnings":{"PIXELS_TEXT_LIKELY":1}}'] * rows, field.type)
    if pa.types.is_list(field.type):
        return pa.array([[]] * rows, field.type)
    if pa.types.is_string(field.type):
        return pa.array(["a text of some length, as long as a description"] * rows, field.type)
    if pa.types.is_fixed_size_binary(field.type):
        return pa.array([b"\0" * field.type.byte_width] * rows, field.type)
    return pa.array([1] * rows).cast(field.type)


@needs_browser
def test_every_page_passes_in_a_browser(reviewed: Path, browser: object) -> None:
    """Every kind of page, at phone and desktop width, light and dark: accessible, silent, asking nobody."""
    names = [name for name in pages_of(reviewed) if not name.startswith("series/")]
    for number, name in enumerate([*names, "series/1.html"]):
        for view in (VIEWS[number % 4], VIEWS[(number + 2) % 4]):
            with visit(browser, reviewed, name, view) as seen:
                seen.page.wait_for_timeout(100)
                seen.check()


@needs_browser
def test_frames_can_be_paged_and_windowed(reviewed: Path, browser: object) -> None:
    """The slider shows each frame, the window and the brightness change the picture, and the rest is hidden."""
    looked = max((reviewed / "images").glob("*-full-range-1.png"), key=lambda path: path.stat().st_size)
    number = looked.name.split("-")[0]
    with visit(browser, reviewed, f"series/{number}.html") as seen:
        page = seen.page
        page.wait_for_selector("canvas[data-shown]")
        total = int(page.get_attribute("input[type=range]", "max"))
        assert total > 1
        for frame in range(1, total + 1):
            _slide(page, 0, frame)
            page.wait_for_selector(f"canvas[data-shown='{frame}']")
        page.check("input.w1")
        page.wait_for_timeout(200)
        _slide(page, 1, 300)
        assert "brightness(300%)" in page.get_attribute("canvas", "style")
        assert page.locator(".strips:visible").count() == 0
        seen.check()


def _slide(page: object, number: int, value: int) -> None:
    """Move a slider as a person does: to a value, with the event that says so."""
    move = "([n, v]) => { const s = document.querySelectorAll('input[type=range]')[n]; s.value = v;"
    page.evaluate(move + " s.dispatchEvent(new Event('input')); }", [number, value])


@needs_browser
def test_without_script_the_strips_are_there(reviewed: Path, browser: object) -> None:
    """Without the script the strips of the chosen window stand on the page, and choosing another shows that one."""
    with visit(browser, reviewed, "series/1.html", script=False) as seen:
        assert seen.page.locator(".strips:visible").count() == 1
        seen.page.check("input.w1")
        assert seen.page.locator(".strips.s1:visible").count() == 1
        assert seen.page.locator(".strips:visible").count() == 1
        assert seen.errors == []
