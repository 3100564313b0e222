"""Writes what is generated on the pages of the site: `make pages`."""

from pathlib import Path

from generated_pages import fill

ROOT = Path(__file__).resolve().parents[3]

changed = fill(ROOT / "docs")
for page in changed:
    print(f"wrote {page.relative_to(ROOT)}")
if not changed:
    print("every page is up to date")
