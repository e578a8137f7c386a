# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic as hosts make it: TCP, UDP, ICMP echo, FTP and TFTP, both ends from one thread of a test."""

import contextlib
import ftplib
import socket
import struct
import tempfile
import threading
import time

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
TIMEOUT_S = 10


def open_socket(namespace, kind=socket.SOCK_STREAM, version=4, protocol=0, bind=None):
    """A socket that lives in the namespace."""
    with namespace:
        made = socket.socket(FAMILY[version], kind, protocol)
        made.settimeout(TIMEOUT_S)
        if bind:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(bind)
        return made


@contextlib.contextmanager
def tcp_connection(net, port, version=4, address=None, listen=None, source_port=0, back=False):
    """A connection from client to server: (client's end, server's end). `address`: what the client dials, where that
    is not the server's own; `listen`: the server's port, where it is not the one dialled; `back`: from server to client
    instead."""
    ends = [(net.client, net.CLIENT[version]), (net.server, net.SERVER[version])]
    (caller, own_address), (called, called_address) = reversed(ends) if back else ends
    with open_socket(called, version=version, bind=(called_address, listen or port)) as listener:
        listener.listen()
        with open_socket(caller, version=version, bind=(own_address, source_port)) as near:
            near.connect((address or called_address, port))
            far, _ = listener.accept()
            with far:
                yield near, far


def tcp_life(net, port, version=4, payload=b"hello", **options):
    """Connects, sends, answers and closes in order. Gives the client's port."""
    with tcp_connection(net, port, version, **options) as (near, far):
        source_port = near.getsockname()[1]
        near.sendall(payload)
        far.sendall(far.recv(65536))
        near.recv(65536)
        near.shutdown(socket.SHUT_WR)
        far.recv(1)
        far.shutdown(socket.SHUT_WR)
        near.recv(1)
    return source_port


def udp_exchange(net, port, version=4, rounds=1, source_port=0):
    """Asks and is answered, `rounds` times, over one pair of sockets. Gives the client's port."""
    with open_socket(net.server, socket.SOCK_DGRAM, version, bind=(net.SERVER[version], port)) as far, \
            open_socket(net.client, socket.SOCK_DGRAM, version, bind=(net.CLIENT[version], source_port)) as near:
        for _ in range(rounds):
            near.sendto(b"ask", (net.SERVER[version], port))
            _, peer = far.recvfrom(2048)
            far.sendto(b"answer", peer)
            near.recv(2048)
        return near.getsockname()[1]


def udp_shot(namespace, address, port, version=4, source_port=0):
    """One datagram that nobody answers."""
    with open_socket(namespace, socket.SOCK_DGRAM, version) as near:
        if source_port:
            near.bind(("", source_port))
        near.sendto(b"shot", (address, port))
        return near.getsockname()[1]


def _checksum(message):
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ping(net, version=4, identifier=0x2B67, address=None):
    """One ICMP echo and its reply."""
    kind, reply, protocol = (8, 0, socket.IPPROTO_ICMP) if version == 4 else (128, 129, socket.IPPROTO_ICMPV6)
    message = struct.pack("!BBHHH", kind, 0, 0, identifier, 1) + b"flowkin!"
    if version == 4:  # the kernel fills in the checksum of ICMPv6
        message = struct.pack("!BBHHH", kind, 0, _checksum(message), identifier, 1) + b"flowkin!"
    with open_socket(net.client, socket.SOCK_RAW, version, protocol) as raw:
        raw.sendto(message, (address or net.SERVER[version], 0))
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            packet = raw.recv(2048)
            answer = packet[(packet[0] & 15) * 4:] if version == 4 else packet
            if answer[0] == reply and answer[4:6] == struct.pack("!H", identifier):
                return
        raise TimeoutError("no echo reply")


@contextlib.contextmanager
def _served(namespace, serve):
    """Runs serve(stopping) in a thread that lives in the namespace."""
    stopping, failure = threading.Event(), []

    def body():
        try:
            with namespace:
                serve(stopping)
        except BaseException as error:  # told to the test below
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
    if failure:
        raise failure[0]


class _QuietHandler(FTPHandler):
    use_sendfile = False
    permit_foreign_addresses = True

    def log(self, msg, logfun=None):
        pass

    def logline(self, msg):
        pass


@contextlib.contextmanager
def ftp_server(net, version=4, size_bytes=200_000):
    """An FTP server on the server's port 21 that gives file.txt to anonymous."""
    with tempfile.TemporaryDirectory(prefix="flowkin-ftp-") as root, contextlib.ExitStack() as stack:
        with open(f"{root}/file.txt", "wb") as file:
            file.write(b"x" * size_bytes)
        listener = open_socket(net.server, version=version, bind=(net.SERVER[version], 21))
        stack.callback(listener.close)
        listener.listen()
        authorizer = DummyAuthorizer()
        authorizer.add_anonymous(root)
        handler = type("Handler", (_QuietHandler,), {"authorizer": authorizer})

        def serve(stopping):
            server = FTPServer(listener, handler, ioloop=IOLoop())
            while not stopping.is_set():
                server.ioloop.loop(timeout=0.02, blocking=False)
            server.close_all()

        stack.enter_context(_served(net.server, serve))
        yield


class FtpClient(ftplib.FTP):
    """An FTP client in the client's namespace. Its data connections are made there too."""

    def __init__(self, net, passive=True, version=4, address=None):
        super().__init__()
        self.namespace = net.client
        self.set_pasv(passive)
        with self.namespace:
            self.connect(address or net.SERVER[version], 21, timeout=TIMEOUT_S)
        self.login()

    @contextlib.contextmanager
    def transfer(self, before_data=None):
        """A transfer of file.txt under way: its data connection is open inside, and finished at the end."""
        with self.namespace:
            data = self.transfercmd("RETR file.txt")
        with data:
            yield data
            while data.recv(65536):
                pass
        self.voidresp()


@contextlib.contextmanager
def ftp_words(net):
    """An FTP control connection of which the test says each word, greeted: (client's end, server's end)."""
    with tcp_connection(net, 21) as (near, far):
        far.sendall(b"220 ready\r\n")
        near.recv(100)
        yield near, far


def ftp_announce(near, far, port):
    """The server says at which of its ports the data will be fetched: the helper expects a child from now on."""
    far.sendall(b"227 Entering Passive Mode (10,2,0,2,%d,%d)\r\n" % divmod(port, 256))
    near.recv(100)


@contextlib.contextmanager
def tftp_server(net, content=b"x" * 2000):
    """A TFTP server that gives the same content whatever file is asked for, each from a port of its own."""
    listener = open_socket(net.server, socket.SOCK_DGRAM, bind=("", 69))
    listener.settimeout(0.02)

    def give(peer):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as transfer:
            transfer.settimeout(TIMEOUT_S)
            for block in range(len(content) // 512 + 1):
                chunk = content[block * 512:(block + 1) * 512]
                transfer.sendto(struct.pack("!HH", 3, block + 1) + chunk, peer)
                acknowledged, _ = transfer.recvfrom(512)
                assert acknowledged == struct.pack("!HH", 4, block + 1)

    def serve(stopping):
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                _, peer = listener.recvfrom(1024)
                give(peer)

    with listener, _served(net.server, serve):
        yield


def tftp_get(net, address=None):
    """Reads a file by TFTP."""
    content = b""
    with open_socket(net.client, socket.SOCK_DGRAM) as near:
        near.sendto(struct.pack("!H", 1) + b"file\0octet\0", (address or net.SERVER[4], 69))
        while True:
            packet, peer = near.recvfrom(1024)
            near.sendto(b"\0\4" + packet[2:4], peer)
            content += packet[4:]
            if len(packet) < 516:
                return content
