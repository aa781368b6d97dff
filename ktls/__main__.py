"""`ktls`: what this kernel can do. `ktls HOST:PORT`: hand one session over, show the evidence."""

import argparse
import os
import sys

import ktls
from ktls import kernel
from ktls.ciphers import VERSION_NAMES


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 fine, 69 (sysexits: unavailable) where the kernel or the server does not let us."""
    parser = argparse.ArgumentParser(prog="ktls", description=__doc__)
    parser.add_argument("server", nargs="?", metavar="HOST:PORT", help="a TLS server to connect to")
    parser.add_argument("--cafile", help="PEM file of trusted authorities, instead of the system's")
    options = parser.parse_args(arguments)
    if options.server is None:
        return report_capabilities()
    host, _, port = options.server.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f"expected HOST:PORT, got {options.server!r}")
    return report_connection(host.strip("[]"), int(port), options.cafile)


def report_capabilities() -> int:
    """Print what `probe` found."""
    found = ktls.probe()
    print(f"kernel      Linux {found.kernel_release}")
    print(f"TLS         {'yes' if found.has_ulp else 'no'}")
    print(f"ciphers     {', '.join(found.names()) or 'none'}")
    print(f"key update  {'yes' if found.can_rekey else 'no'}")
    if found.missing:
        print(f"missing     {found.missing}")
    if found.remedy:
        print(f"remedy      {found.remedy}")
    return 0 if found.usable else os.EX_UNAVAILABLE


def report_connection(host: str, port: int, cafile: str | None) -> int:
    """Connect, hand over, and print what the kernel says about the session."""
    before = kernel.tls_stat()
    try:
        sock = ktls.connect((host, port), ktls.create_context(cafile), host)
    except OSError as error:
        print(f"{host}:{port}: {error}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    with sock:
        print(f"server      {host}:{port}")
        print(f"agreed on   {sock.session} ({sock.session.suite})")
        print(f"TCP_ULP     {kernel.ulp_name(sock)}")
        for name, direction in (("TLS_TX", kernel.TX), ("TLS_RX", kernel.RX)):
            version, cipher = kernel.version_and_cipher(sock, direction)
            print(f"{name}      {describe(version, cipher)}")
        after = kernel.tls_stat()
        for counter in ("TlsTxSw", "TlsRxSw", "TlsTxDevice", "TlsRxDevice"):
            print(f"{counter:<12}{before.get(counter, 0)} -> {after.get(counter, 0)}")
    return 0


def describe(version: int, cipher: int) -> str:
    """A version and a cipher by the kernel's numbers."""
    versions = {int(number): name for number, name in VERSION_NAMES.items()}
    ciphers = {known.kernel_number: known.name for known in ktls.CIPHERS}
    return f"{versions.get(version, hex(version))} {ciphers.get(cipher, cipher)}"


if __name__ == "__main__":
    sys.exit(main())
