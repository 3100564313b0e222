"""Writes the generated parts of the site's pages: `make pages`."""

from pathlib import Path

from generated_pages import fill

ROOT = Path(__file__).resolve().parents[3]

changed = fill(ROOT / "docs")
for page in changed:
    print(f"wrote {page.relative_to(ROOT)}")
if not changed:
    print("every page is up to date")
