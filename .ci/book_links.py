"""A preprocessor of mdBook: links that lead out of docs/ go to the repository, where the files are.

The introduction is the README, whose links start at the root of the repository.
"""

import json
import posixpath
import re
import sys

REPOSITORY = "https://github.com/meldb/meldb/blob/main/"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")


def rewritten(match: re.Match, folder: str, from_root: bool) -> str:
    path, anchor = match[1], match[2] or ""
    inside = posixpath.normpath(posixpath.join("" if from_root else posixpath.join("docs", folder), path))
    # The summary is no page of the book.
    if inside.startswith("docs/") and inside != "docs/SUMMARY.md":
        # mdBook makes the page of a folder its index.
        page = re.sub(r"(^|/)README\.md$", r"\1index.md", inside)
        return posixpath.relpath(page, posixpath.join("docs", folder)) + anchor
    return REPOSITORY + inside + anchor


def walk(items: list) -> None:
    for item in items:
        if isinstance(item, dict) and (chapter := item.get("Chapter")):
            path = chapter.get("path") or ""
            folder, from_root = posixpath.dirname(path), path == "introduction.md"
            text = LINK.sub(lambda match: rewritten(match, folder, from_root), chapter["content"])
            chapter["content"] = text
            walk(chapter["sub_items"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["supports"]:
        sys.exit(0)
    _, book = json.load(sys.stdin)
    walk(book.get("items") or book.get("sections"))
    json.dump(book, sys.stdout)
