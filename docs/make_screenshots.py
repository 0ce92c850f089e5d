"""The two pictures of the explorer in README.md, anew from the demo atlas: `python docs/make_screenshots.py`.

Needs a Chromium on the system and the extras `web` and `dev`. A PNG of 256 colours each.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
ATLAS = DOCS.parent / "data" / "atlases" / "smollm2-135m.duckdb"
SHOTS = {"explorer-concept.png": "concept/animals", "explorer-neuron.png": "neuron/L29N808"}
SIZE = {"width": 1100, "height": 860}


def main() -> None:
    """Serve the atlas, look at the pages, write the pictures."""
    command = [sys.executable, "-m", "atlas", "serve", str(ATLAS)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=DOCS.parent)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with sync_playwright() as driver:
            chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            for name, path in SHOTS.items():
                page.goto(f"{address}{ATLAS.stem}/{path}")
                picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(256)
                picture.save(DOCS / name, optimize=True)
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
