"""`curate demo`: the whole main job on the real files that pydicom's package carries."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import curate
from curate.cli import shared
from curate.core.errors import CurateError, InputError, quoted
from curate.core.findings import has_errors

_SOURCES = (
    *("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "J2K_pixelrep_mismatch.dcm"),
    "dicomdirtests/98892003",
)
_ROWS = (
    # StudyInstanceUID, donor, age, sex, region, diagnosis, basis: invented, for test material
    ("1.3.6.1.4.1.5962.1.2.1.20040119072730.12322", "donor-1", "47", "O", "thoracic spine", "M54.6", "referral"),
    ("1.3.6.1.4.1.5962.1.2.4.20040826185059.5457", "donor-2", "42", "F", "knee", "none", "report"),
    ("1.2.124.113532.10.122.1.203.20051130.122937.2950157", "donor-3", "58", "M", "abdomen", "C22.0", "discharge"),
    ("1.2.392.200036.9123.100.11.15002200303521616157144527203339851", "donor-4", "76", "F", "cap", "R51.9", "report"),
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.427", "donor-5", "45", "M", "neck", "I65.2", "report"),
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.133", "donor-5", "45", "M", "cap", "R51.9", "referral"),
    ("1.3.6.1.4.1.5962.1.1.0.0.0.1196533885.18148.0.1", "donor-5", "45 anys", "M", "cerebro", "none", "report"),
)
_COLUMNS = ("study", "donor", "age", "sex", "region", "diagnosis", "diagnosis_basis", "consent", "consent_date")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Anybody")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="DIR")] = Path("demo"),
) -> None:
    """Run the whole main job on real test images: intake, release, check, publish, load.

    Example: curate demo demo/
    """
    out = shared.console()
    if folder.exists() and any(folder.iterdir()):
        hint = f"Remove it, or name another: curate demo {quoted(f'{folder}-2')}"
        raise InputError(f"{folder} exists and is not empty.", hint=hint)
    folder.mkdir(parents=True, exist_ok=True)
    archive, hub = folder / "archive", folder / "hub"
    sources, table = donate(folder)
    incoming = _copied(sources, folder / "incoming")
    _say(out, "init", "an archive of test material, licence CC-BY-4.0, no approvals asked for")
    curate.init(
        archive,
        curate.ArchiveInfo("curate demo", "The curate authors", "CC-BY-4.0", "test"),
        hub_target=hub.resolve().as_uri(),
        approvals=0,
    )
    report = curate.intake(archive, [incoming], table, deidentify=True)
    taken = f"{report.admitted_instances} instances of {report.admitted_studies} studies admitted"
    kept = f"{report.quarantined_instances} quarantined, {report.not_instances} not instances"
    _say(out, "intake", f"{report.files} files: {taken}, {kept}")
    cut = curate.release(archive)
    _say(out, "release", f"version {cut.version} in {cut.path}")
    results = curate.check(cut.path)
    if any(has_errors(result.findings) for result in results):
        raise CurateError("The release does not pass its checks.", hint=f"See them: curate check {quoted(cut.path)}")
    _say(out, "check", f"{len(results)} checks passed over {cut.instances} instances")
    done = curate.publish(archive, cut.version)
    _say(out, "publish", f"{done.tag} at {done.url}: {done.sent_files} files, {shared.size(done.sent_bytes)}")
    _load(out, folder, hub, done.tag)
    _say(out, "try next", shared.as_typed(f"curate check {quoted(cut.path)}"))
    out.print(shared.hint(f"            curate quarantine {quoted(archive)}"))
    out.print(Text(f"            less {quoted(cut.path / 'README.md')}"))


def _say(out: Console, verb: str, what: str) -> None:
    out.print(Text.assemble((f"{verb:<12}", "bold"), what), soft_wrap=True)


def donate(
    folder: Path, sources: Sequence[str] = _SOURCES, rows: Sequence[Sequence[str]] = _ROWS
) -> tuple[list[Path], Path]:
    """The demo's donation: files and folders of pydicom's package, and a table of their studies in `folder`."""
    root, table = Path(str(files("pydicom"))) / "data" / "test_files", folder / "studies.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows((*row, "given", "2024-01-31") for row in rows)
    return [root / name for name in sources], table


def _copied(sources: Sequence[Path], into: Path) -> Path:
    """The donation in a folder of its own, so that it can be given to other commands, too."""
    into.mkdir()
    for source in sources:
        if source.is_dir():
            shutil.copytree(source, into / source.name)
        else:
            shutil.copy(source, into)
    return into


def _load(out: Console, folder: Path, hub: Path, tag: str) -> None:
    """Load what was published as any researcher would, and show its first study."""
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    studies = load_dataset(str(hub / tag), "studies", split="train", cache_dir=str(folder / "cache"))
    first = {name: value for name, value in studies[0].items() if isinstance(value, int | str | list)}
    _say(out, "load", f'load_dataset("{hub / tag}", "studies"): {len(studies)} studies, the first:')
    for name, value in first.items():
        out.print(Text(f"            {name} = {value!r}"), soft_wrap=True)
