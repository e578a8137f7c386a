# SPDX-License-Identifier: GPL-2.0-or-later
"""Each file says under which licence it stands, where its form has room for a comment."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
LICENCE = "SPDX-License-Identifier: GPL-2.0-or-later"
NOT_OURS = {".git", "build", "__pycache__", ".pytest_cache"}
# Prose stands under LICENSE as it is; the others have no comments, or are compared byte by byte.
WITHOUT = {".md", ".json", ".ndjson", ".txt", ".pcap", ".Debian"}
WITHOUT_NAMES = {"LICENSE", ".gitignore", ".git"} | {"changelog", "copyright", "format"}  # the latter in debian/
CORPUS = ROOT / "tests/fuzz/corpus"


def files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in NOT_OURS and pathlib.Path(folder, name) != CORPUS]
        yield from (pathlib.Path(folder, name) for name in names)


def lacking(root):
    for path in files(root):
        if path.suffix in WITHOUT or path.name in WITHOUT_NAMES:
            continue
        head = path.read_text(errors="replace").splitlines()[:3]
        if not any(LICENCE in line for line in head):
            yield str(path.relative_to(root))


def test_each_file_names_its_licence_in_its_first_lines():
    assert len([*files(ROOT)]) > 100
    assert not sorted(lacking(ROOT))


def test_the_licence_itself_is_there():
    assert "GNU GENERAL PUBLIC LICENSE\n                       Version 2" in (ROOT / "LICENSE").read_text()


def test_a_file_without_a_licence_is_found(tmp_path):
    (tmp_path / "bare.cpp").write_text("int main() {}\n")
    (tmp_path / "good.cpp").write_text(f"// {LICENCE}\n")
    (tmp_path / "prose.md").write_text("# Prose\n")
    assert [*lacking(tmp_path)] == ["bare.cpp"]
