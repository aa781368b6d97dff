"""`python scripts/pages.d FOLDER`: writes the manual pages and the shells' completions of all commands to FOLDER/share.

setup.py calls it where the project is installed. The packages must be importable, the C parts built.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import commands
import completion
import manual


def main(folder: Path) -> int:
    os.environ["COLUMNS"] = str(manual.WIDTH + 2)  # argparse keeps two columns free
    parsers = list(commands.commands())
    files = completion.files_of(parsers)
    names = [parser.prog for parser in parsers]
    files |= {f"man/man1/{parser.prog}.1": manual.manual(parser, names) for parser in parsers}
    for name, text in files.items():
        path = folder / "share" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
