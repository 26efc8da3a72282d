"""ICC profiles for stills, composed without LittleCMS."""

import struct

import numpy as np

# Columns: XYZ of red, green, blue, adapted to D50 (ICC's connection space), as public profiles have them
SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
DISPLAY_P3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
ADOBE_RGB = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])


def profile(primaries: np.ndarray, *, gamma: float = 1, curve: np.ndarray | None = None) -> bytes:
    """An ICC profile, version 2, with these primaries and one curve for all channels: ICC.1:2001-04, 6.1 to 6.5.

    curve: linear light, 0 .. 1, of evenly spaced values; an exponent by default.
    """
    samples = [round(gamma * 256)] if curve is None else np.rint(curve * 65535).astype(int).tolist()

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642) + fixed(1.0) + fixed(0.8249),
        **{
            name: b"XYZ " + bytes(4) + b"".join(map(fixed, column))
            for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries.T, strict=True)
        },
        **{
            name: b"curv" + bytes(4) + struct.pack(f">I{len(samples)}H", len(samples), *samples)
            for name in (b"rTRC", b"gTRC", b"bTRC")
        },
    }
    at, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, at + len(data), len(content))
        data += content
    head = (
        struct.pack(">I4sI4s4s4s", at + len(data), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
        + bytes(12)
        + b"acsp"
    )
    head += bytes(28) + fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return head.ljust(128, b"\0") + table + data
