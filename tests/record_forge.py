"""A TLS server that can send any record: right, odd or wrong.

The handshake is OpenSSL's. After it, records are protected here, with `cryptography`, from keys derived here: none of
it is shared with the package under test.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from socket import socket

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

ALERT, HANDSHAKE, DATA = 21, 22, 23
CLOSE_NOTIFY = b"\x01\x00"
HEADER_BYTES = 5
TAG_BYTES = 16


def ticket(nonce: int = 0) -> bytes:
    """A NewSessionTicket (RFC 8446 4.6.1): lifetime, age_add, nonce, ticket, no extensions."""
    body = (7200).to_bytes(4) + bytes(4) + bytes([1, nonce]) + (32).to_bytes(2) + bytes([nonce]) * 32 + bytes(2)
    return b"\x04" + len(body).to_bytes(3) + body


def _prf(secret: bytes, seed: bytes, length: int, algorithm: hashes.HashAlgorithm) -> bytes:
    """P_hash (RFC 5246 5)."""

    def mac(data: bytes) -> bytes:
        signer = HMAC(secret, algorithm)
        signer.update(data)
        return signer.finalize()

    out, chained = b"", seed
    while len(out) < length:
        chained = mac(chained)
        out += mac(chained + seed)
    return out[:length]


class Protection:
    """One direction's keys and record number."""

    def __init__(self, is_1_3: bool, suite: str, secret: bytes, key: bytes, iv: bytes, rec_seq: int) -> None:
        self.is_1_3, self.suite, self.secret, self.iv, self.rec_seq = is_1_3, suite, secret, iv, rec_seq
        self.aead = ChaCha20Poly1305(key) if "CHACHA20" in suite else AESGCM(key)

    def _nonce(self) -> bytes:
        if len(self.iv) == 4:
            return self.iv + self.rec_seq.to_bytes(8)
        return (int.from_bytes(self.iv) ^ self.rec_seq).to_bytes(12)

    def seal(self, kind: int, payload: bytes, padding_bytes: int = 0) -> bytes:
        """A whole record."""
        nonce = self._nonce()
        if self.is_1_3:
            inner = payload + bytes([kind]) + bytes(padding_bytes)
            header = bytes([DATA, 3, 3]) + (len(inner) + TAG_BYTES).to_bytes(2)
            body = self.aead.encrypt(nonce, inner, header)
        else:
            head = bytes([kind, 3, 3])
            explicit = nonce[4:] if len(self.iv) == 4 else b""
            aad = self.rec_seq.to_bytes(8) + head + len(payload).to_bytes(2)
            body = explicit + self.aead.encrypt(nonce, payload, aad)
            header = head + len(body).to_bytes(2)
        self.rec_seq += 1
        return header + body

    def open(self, record: bytes) -> tuple[int, bytes]:
        """Type and payload of a record; cryptography's InvalidTag where it is not rightly protected."""
        header, body = record[:HEADER_BYTES], record[HEADER_BYTES:]
        nonce = self._nonce()
        if self.is_1_3:
            inner = self.aead.decrypt(nonce, body, header).rstrip(b"\0")
            kind, payload = inner[-1], inner[:-1]
        else:
            if len(self.iv) == 4:
                nonce, body = self.iv + body[:8], body[8:]
            aad = self.rec_seq.to_bytes(8) + header[:3] + (len(body) - TAG_BYTES).to_bytes(2)
            kind, payload = header[0], self.aead.decrypt(nonce, body, aad)
        self.rec_seq += 1
        return kind, payload


class RecordForge:
    """The server's side of one connection."""

    def __init__(self, connection: socket, chain: Path, key: Path, keylog: Path) -> None:
        """Accept the handshake. `keylog`: a file of the test's own, for OpenSSL to write the secrets to."""
        self.connection = connection
        self._keylog = keylog
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        context.num_tickets = 0  # the forge writes record 0 itself
        context.keylog_filename = str(keylog)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        self._randoms: list[bytes] = []
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush(outgoing)
                incoming.write(self._receive_raw())
        self._flush(outgoing)
        context.keylog_filename = None  # type: ignore[assignment]
        suite = tls.cipher()
        assert suite is not None
        self.is_1_3, self.suite = tls.version() == "TLSv1.3", suite[0]
        self._algorithm = hashes.SHA384() if "SHA384" in self.suite else hashes.SHA256()
        self.theirs, self.ours = self._secrets_1_3() if self.is_1_3 else self._keys_1_2()

    # -- records ----------------------------------------------------------------------------------------------

    def send(self, *records: tuple[int, bytes]) -> None:
        """Send records, each (type, payload), all in one write."""
        self.connection.sendall(b"".join(self.ours.seal(kind, payload) for kind, payload in records))

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """The next record of the client, (type, payload)."""
        return self.theirs.open(self._receive_raw())

    def update_keys(self, *, request: bool) -> None:
        """Send a KeyUpdate, and change the keys that the forge sends with."""
        self.send((HANDSHAKE, bytes([24, 0, 0, 1, request])))
        self.ours = self.next_generation(self.ours)

    def receive_key_update(self) -> int:
        """Expect a KeyUpdate; what it requests (0 or 1). The keys of the client's direction change."""
        kind, payload = self.receive()
        assert (kind, payload[:4]) == (HANDSHAKE, b"\x18\0\0\1"), (kind, payload)
        self.theirs = self.next_generation(self.theirs)
        return payload[4]

    def records(self) -> Iterator[tuple[int, bytes]]:
        """All records of the client until it closes."""
        while True:
            try:
                yield self.receive()
            except (EOFError, ConnectionResetError):
                return

    # -- keys -------------------------------------------------------------------------------------------------

    def _key_bytes(self) -> int:
        return 16 if "128" in self.suite else 32

    def _expand_label(self, secret: bytes, label: bytes, length: int) -> bytes:
        info = length.to_bytes(2) + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
        return HKDFExpand(self._algorithm, length, info).derive(secret)

    def _protection_1_3(self, secret: bytes) -> Protection:
        key = self._expand_label(secret, b"key", self._key_bytes())
        return Protection(True, self.suite, secret, key, self._expand_label(secret, b"iv", 12), 0)

    def next_generation(self, protection: Protection) -> Protection:
        """What follows after a KeyUpdate (RFC 8446 7.2)."""
        length = self._algorithm.digest_size
        return self._protection_1_3(self._expand_label(protection.secret, b"traffic upd", length))

    def _logged(self, label: str) -> bytes:
        (line,) = [line for line in self._keylog.read_text().splitlines() if line.startswith(label + " ")]
        return bytes.fromhex(line.split()[2])

    def _secrets_1_3(self) -> tuple[Protection, Protection]:
        client, server = self._logged("CLIENT_TRAFFIC_SECRET_0"), self._logged("SERVER_TRAFFIC_SECRET_0")
        return self._protection_1_3(client), self._protection_1_3(server)

    def _keys_1_2(self) -> tuple[Protection, Protection]:
        client_random, server_random = self._randoms
        key_bytes, iv_bytes = self._key_bytes(), 12 if "CHACHA20" in self.suite else 4
        seed = b"key expansion" + server_random + client_random
        block = _prf(self._logged("CLIENT_RANDOM"), seed, 2 * (key_bytes + iv_bytes), self._algorithm)
        keys, ivs = block[: 2 * key_bytes], block[2 * key_bytes :]
        # Record 0 of each direction was Finished.
        return (
            Protection(False, self.suite, b"", keys[:key_bytes], ivs[:iv_bytes], 1),
            Protection(False, self.suite, b"", keys[key_bytes:], ivs[iv_bytes:], 1),
        )

    # -- the wire ---------------------------------------------------------------------------------------------

    def _flush(self, outgoing: ssl.MemoryBIO) -> None:
        data = outgoing.read()
        self._note_random(data)
        self.connection.sendall(data)

    def _note_random(self, flight: bytes) -> None:
        """ClientHello.random, then ServerHello.random: each first in its side's first flight."""
        if len(self._randoms) < 2 and flight[:1] == b"\x16":
            self._randoms.append(flight[11:43])

    def _receive_raw(self) -> bytes:
        header = self._receive_exactly(HEADER_BYTES)
        record = header + self._receive_exactly(int.from_bytes(header[3:]))
        if not self._randoms:
            self._note_random(record)
        return record

    def _receive_exactly(self, wanted_bytes: int) -> bytes:
        data = b""
        while len(data) < wanted_bytes:
            piece = self.connection.recv(wanted_bytes - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data
