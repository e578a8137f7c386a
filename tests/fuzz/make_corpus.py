#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the corpora of the decoder (each datagram of the captures once) and of packets (of those in its file rejects)."""
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


# The packets' corpus: of a log of REJECT's answers, each packet cut short at every length, and with odd prefixes.
PREFIX, PAYLOAD, PACKET = 10, 9, 4 << 8


def messages(content):
    while content:
        length, kind = struct.unpack_from("<IH", content)
        yield kind, content[:16], content[16:length]
        content = content[(length + 3) & ~3:]


def with_attribute(message, wanted, change):
    """The message with one attribute's payload changed."""
    _, header, body = message
    out, rest = body[:4], body[4:]
    while len(rest) >= 4:
        length, number = struct.unpack_from("<HH", rest)
        payload = rest[4:length]
        if number & 0x3FFF == wanted:
            payload = change(payload)
        out += struct.pack("<HH", len(payload) + 4, number) + payload + b"\0" * (-len(payload) % 4)
        rest = rest[(length + 3) & ~3:]
    return struct.pack("<I", 16 + len(out)) + header[4:] + out


packets = here / "corpus" / "packets"
logged = [message for message in messages((packets / "rejects").read_bytes()) if message[0] == PACKET][:4]
(packets / "cut-short").write_bytes(b"".join(
    with_attribute(message, PAYLOAD, lambda payload, bytes_=bytes_: payload[:bytes_])
    for message in logged for bytes_ in range(0, 60, 3)))
odd = (b"\0", b"", b"no end", b"flowkin:\0", b"flowkin:rejected \xff\xfe\x01\"\\\0", b"\xf0\x9f\x90\xa7\xed\xa0\x80\0",
       b"flowkin:refused\nby hand\0", b"p" * 127 + b"\0", b"\x7f" * 300 + b"\0")
(packets / "odd-prefixes").write_bytes(b"".join(
    with_attribute(message, PREFIX, lambda _, prefix=prefix: prefix) for message in logged for prefix in odd))
