#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the decoder's corpus of the captures: each datagram once, a file each."""
import pathlib
import struct

here = pathlib.Path(__file__).resolve().parent
corpus = here / "corpus" / "decode"
corpus.mkdir(parents=True, exist_ok=True)
for capture in sorted((here.parent / "golden" / "captures").glob("*.pcap")):
    content = capture.read_bytes()
    position, number = 24, 0
    while position < len(content):
        captured = struct.unpack_from("<I", content, position + 8)[0]
        datagram = content[position + 16 + 16:position + 16 + captured]
        position += 16 + captured
        number += 1
        (corpus / f"{capture.stem}-{number:02}").write_bytes(datagram)
