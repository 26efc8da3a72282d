"""The addresses on which a process and its descendants listen, from Linux' /proc."""

import ipaddress
import os
import sys
from pathlib import Path

LISTENING = "0A"  # state of a socket in /proc/net/tcp


def listening_addresses(pid: int) -> set[str]:
    """Return the TCP addresses, without ports."""
    inodes = {inode for one in _with_descendants(pid) for inode in _sockets(one)}
    return {address for inode, address in _listeners().items() if inode in inodes}


def is_loopback(address: str) -> bool:
    """Whether other machines cannot connect to an address, which may be that of an IPv4 socket in IPv6 form."""
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def _listeners() -> dict[str, str]:
    """Return the addresses of all listening sockets by inode."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING:
                found[fields[9]] = _address(fields[1].partition(":")[0])
    return found


def _address(text: str) -> str:
    """Return the address of 32-bit words in hexadecimal digits, in the byte order of this machine."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words)))


def _sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    found = set()
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(path)
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:  # it has ended
        pass
    return found


def _with_descendants(pid: int) -> set[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found
