"""Records a terminal: runs the commands below with a built program, and prints them and what they print as SVG.

usage: docs/terminal.py PROGRAM > docs/terminal.svg

Without animation, everything is shown at once.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

COMMANDS = [
    """meldb put acme/users/ada '{"name":"Ada","role":"owner","seats":3}' --quiet --as signup""",
    "meldb history acme/users --days 90",
    """meldb merge acme/users/ada '{"role":"guest"}' --as importer      # changes one field, keeps the rest""",
    """meldb merge acme/users/ada '{"seats":5}' --quiet --as billing""",
    """meldb merge acme/users/bob '{"seats":5}' --as billing            # a merge never creates""",
    "meldb blame acme/users/ada                                       # who set each field?",
    "meldb undo acme/users/ada@2 --as support                         # the one write, not those after it",
    """meldb find acme/users 'role = "owner" and seats >= 5' --fields name""",
]
COLUMNS, LINE_PX, CHARACTER_PX, MARGIN_PX = 112, 19, 8.43, 16
# How long a reader looks at a command before its output comes, and at that before the next command.
COMMAND_SECONDS, OUTPUT_SECONDS = 0.7, 1.6


def record(program: Path) -> list[tuple[str, list[str]]]:
    """Returns each command with the lines that it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MELDB_")}
    environment |= {"MELDB_DIR": "./store", "PATH": f"{program.parent}:{environment['PATH']}"}
    with tempfile.TemporaryDirectory() as directory:
        runs = [
            subprocess.run(
                ["sh", "-c", command], cwd=directory, env=environment, text=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            for command in COMMANDS
        ]
    return [(command, run.stdout.rstrip("\n").split("\n") if run.stdout else []) for command, run in zip(COMMANDS, runs)]


def draw(recorded: list[tuple[str, list[str]]]) -> str:
    lines, seconds = [], 0.3

    def line(text: str, kind: str) -> None:
        y = MARGIN_PX + LINE_PX * (len(lines) + 1)
        shown = escape(text.ljust(1)[:COLUMNS])
        lines.append(f'<text class="{kind}" x="{MARGIN_PX}" y="{y}" style="animation-delay:{seconds:.1f}s">{shown}</text>')

    for command, output in recorded:
        line(f"$ {command}", "command")
        seconds += COMMAND_SECONDS
        for text in output:
            line(text, "error" if text.startswith("error:") else "output")
        seconds += OUTPUT_SECONDS if output else 0
    width = round(2 * MARGIN_PX + COLUMNS * CHARACTER_PX)
    height = 2 * MARGIN_PX + LINE_PX * (len(lines) + 1)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
            "<style>",
            "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre;"
            "animation:show 1ms backwards}",
            ".command{fill:#e6edf3;font-weight:600}.output{fill:#9da7b3}.error{fill:#ff7b72}",
            "@keyframes show{from{opacity:0}}",
            "@media (prefers-reduced-motion:reduce){text{animation:none}}",
            "</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
            *lines,
            "</svg>",
        ]
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(draw(record(Path(sys.argv[1]).resolve())))
