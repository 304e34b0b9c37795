"""Reaching a host: what stands in the way is said in words, and no call is spent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from syncd.errors import Transient
from syncd.http.reach import reach
from tests.harness import Bench


@asynccontextmanager
async def server(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that says something that is no TLS to whoever comes, and its port."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as running:
        yield running.sockets[0].getsockname()[1]


async def test_a_sandbox_is_reached_without_a_call(bench: Bench) -> None:
    port = int(bench.sandbox.api_url.split(":")[2].split("/")[0])
    assert 0 < await reach("127.0.0.1", port, tls=False) < 10
    assert bench.calls() == []


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 1), ("nowhere.invalid", 443)])
async def test_nobody_is_there(host: str, port: int) -> None:
    with pytest.raises(Transient, match="no connection"):
        await reach(host, port, tls=True)


async def test_a_server_without_tls() -> None:
    async with server() as port:
        with pytest.raises(Transient, match="TLS fails"):
            await reach("127.0.0.1", port, tls=True)


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "server.pem"))
    async with server(context) as port:
        with pytest.raises(Transient, match="certificate is not trusted: self"):
            await reach("localhost", port, tls=True)


def self_signed(path: Path) -> Path:
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
