"""A real Chromium that opens pages from disk, notes every request and console error, and runs axe-core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
PHONE, DESKTOP = (360, 740), (1280, 900)
VIEWS = [(size, scheme) for size in (PHONE, DESKTOP) for scheme in ("light", "dark")]

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or not AXE.is_file(),
    reason="Chromium or axe-core is not installed: `make browser` installs both",
)


@dataclass
class Visit:
    """An open page, and what it did that it must not."""

    page: object
    site: Path
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def check(self) -> None:
        """No console error, no request that leaves the site, no accessibility violation, no sideways scroll."""
        assert self.errors == []
        assert self.outside == []
        assert self.violations() == []
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, "the page is wider than the window"

    def violations(self) -> list[str]:
        """What axe-core objects to: rule, and the first places."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document).then(r => r.violations)")
        return [f"{v['id']}: {[node['target'] for node in v['nodes'][:3]]}" for v in found]


@contextmanager
def browsing() -> Iterator[object]:
    """A browser, for `visit`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser, site: Path, name: str, view=(DESKTOP, "light"), *, script: bool = True) -> Iterator[Visit]:
    """Open `site/name` at a window size and colour scheme, with or without its script."""
    (width, height), scheme = view
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        java_script_enabled=script,
        bypass_csp=False,
    )
    page = context.new_page()
    seen = Visit(page, site)
    page.on("console", lambda m: seen.errors.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: None if _inside(request.url, site) else seen.outside.append(request.url))
    page.on("requestfailed", lambda request: seen.errors.append(f"failed: {request.url}"))
    page.goto((site / name).resolve().as_uri())
    try:
        yield seen
    finally:
        context.close()


def pages_of(site: Path) -> list[str]:
    """Every page of a site."""
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


def _inside(url: str, site: Path) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "data":
        return True
    return parts.scheme == "file" and Path(unquote(parts.path)).is_relative_to(site.resolve())
