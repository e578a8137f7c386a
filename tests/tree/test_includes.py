# SPDX-License-Identifier: GPL-2.0-or-later
"""The floors of docs/architecture.md hold: its table says which room may include what, and this reads the includes.

CMake keeps most of it, for a room that does not link a library does not see it. What CMake cannot see are headers that
lie in /usr/include for everybody, and rooms, which share one include folder.
"""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARCHITECTURE = ROOT / "docs/architecture.md"

# Libraries by the name that the document gives them, and how their headers begin.
LIBRARIES = {
    "Asio": ("boost/asio",),
    "Boost.Beast": ("boost/beast",),
    "Boost.Unordered": ("boost/unordered",),
    "CLI11": ("CLI/",),
    "libmnl": ("libmnl/",),
    "libnetfilter_conntrack": ("libnetfilter_conntrack/",),
    "libpcap": ("pcap/", "pcap.h"),
    "libsystemd": ("systemd/",),
    "nlohmann_json": ("nlohmann/",),
    "prometheus-cpp": ("prometheus/",),
    "spdlog": ("spdlog/", "fmt/"),
    "tl::expected": ("tl/",),
    "toml++": ("toml++/",),
    "nfnetlink": ("linux/netlink.h", "linux/netfilter"),
}
# The standard library, libc and the kernel's own headers, which are everybody's.
COMMON = re.compile(r"[a-z_]+|[a-z_]+\.h|(sys|linux|arpa|net|netinet)/\w+\.h")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


class Room:
    def __init__(self, folder, floor, rooms, libraries):
        self.folder, self.floor, self.rooms, self.libraries = folder, floor, rooms, libraries


def listed(cell):
    return set() if cell == "none" else set(cell.split(", "))


def floors(text):
    """Rooms by folder, from the document's table: floor, room, what it owns, rooms it uses, libraries it knows."""
    rows = re.findall(r"^\| (\d) \| `(\S+)/` \| .+? \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    cells = {folder: (int(floor), rooms, libraries) for floor, folder, rooms, libraries in rows}
    names = {folder.split("/")[-1]: floor for folder, (floor, *_) in cells.items()}
    result = {}
    for folder, (floor, rooms, libraries) in cells.items():
        below = {name for name, its_floor in names.items() if its_floor < floor}
        allowed = below if rooms == "every room below" else listed(rooms)
        assert allowed <= below, f"{folder} would use {allowed - below}, which is not below it"
        known = listed(libraries)
        assert known <= set(LIBRARIES), f"{folder}: {known - set(LIBRARIES)} is no library this test knows"
        result[folder] = Room(folder, floor, allowed, known)
    return result


def library_of(header):
    return next((name for name, beginnings in LIBRARIES.items() if header.startswith(beginnings)), None)


def wrong(room, header, quoted):
    """Why the room may not include the header; none where it may."""
    own = room.folder.split("/")[-1]
    if quoted:
        of = header.split("/")[0] if "/" in header else own
        return None if of == own or of in room.rooms else f"the room {of} is not below {room.folder}"
    library = library_of(header)
    if library:
        return None if library in room.libraries else f"{room.folder} does not know {library}"
    return None if COMMON.fullmatch(header) else "of a library that no room knows"


def violations(root, rooms):
    folders = [path for path in (root / "lib").glob("*/")] + [root / name for name in ("daemon", "ctl")]
    for folder in sorted(path for path in folders if path.is_dir()):
        name = str(folder.relative_to(root))
        if name not in rooms:
            yield f"{name} has no floor"
            continue
        for source in sorted(folder.glob("**/*.[ch]pp")):
            for mark, header in INCLUDE.findall(source.read_text()):
                if why := wrong(rooms[name], header, mark == '"'):
                    yield f"{source.relative_to(root)}: {header}: {why}"


def test_no_room_includes_what_its_floor_may_not():
    rooms = floors(ARCHITECTURE.read_text())
    assert len(rooms) >= 9
    assert not [*violations(ROOT, rooms)]


def test_each_room_still_needs_what_the_document_allows_it():
    for room in floors(ARCHITECTURE.read_text()).values():
        headers = [header for source in (ROOT / room.folder).glob("**/*.[ch]pp")
                   for _, header in INCLUDE.findall(source.read_text())]
        assert room.libraries <= {library_of(header) for header in headers}, room.folder


@pytest.mark.parametrize("source, include", [
    ("lib/flow/new.cpp", '"netlink/decode.hpp"'),  # above it
    ("lib/sink/new.cpp", '"json/line_encoder.hpp"'),  # its neighbour
    ("lib/base/new.hpp", '"flow/flow.hpp"'),
    ("lib/pipeline/new.cpp", '"sink/event_log.hpp"'),  # below it, but not its own
    ("lib/sink/new.cpp", "<boost/asio/io_context.hpp>"),
    ("lib/state/new.cpp", "<nlohmann/json.hpp>"),
    ("lib/json/new.cpp", "<spdlog/spdlog.h>"),
    ("lib/flow/new.cpp", "<libmnl/libmnl.h>"),
    ("lib/flow/new.cpp", "<linux/netfilter/nfnetlink.h>"),
    ("daemon/new.cpp", "<pcap/pcap.h>"),
    ("daemon/new.cpp", "<curl/curl.h>"),  # nobody's
    ("lib/attic/new.cpp", "<vector>"),  # no room
])
def test_an_include_from_the_wrong_floor_is_told(tmp_path, source, include):
    rooms = floors(ARCHITECTURE.read_text())
    (tmp_path / source).parent.mkdir(parents=True)
    (tmp_path / source).write_text(f"#include <cstdint>\n#include {include}\n")
    told = [*violations(tmp_path, rooms)]
    assert len(told) == 1
