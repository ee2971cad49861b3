"""TIFFs of any layout."""

import struct

import numpy as np

GREY, RGB, CMYK = 1, 2, 5  # PhotometricInterpretation
FORMATS = dict(u=1, i=2, f=3)


def make_tiff(pixels, photometric=RGB, planar=False, extra=0):
    """The bytes of an uncompressed TIFF of pixels (H, W, C), by the standard."""
    height, width, bands = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    content = (pixels.transpose(2, 0, 1) if planar else pixels).tobytes()
    plane = len(content) // (bands if planar else 1)
    number = bands if planar else 1
    colors = {RGB: 3, CMYK: 4}.get(photometric, 1)
    tags = {
        256: [width],
        257: [height],
        258: [bits] * bands,
        259: [1],
        262: [photometric],
        273: None,  # where the strips are, below
        277: [bands],
        278: [height],
        279: [plane] * number,
        284: [2 if planar else 1],
        338: [extra] * (bands - colors),  # ExtraSamples
        339: [FORMATS[pixels.dtype.kind]] * bands,
    }
    tags = {tag: value for tag, value in tags.items() if value != []}
    beyond = 8 + 2 + 12 * len(tags) + 4
    start = beyond + 16 * len(tags)
    tags[273] = [start + index * plane for index in range(number)]
    entries = values = b''
    for tag, value in sorted(tags.items()):
        long = tag in (273, 279)
        packed = struct.pack(f'<{len(value)}{"IH"[not long]}', *value)
        if len(packed) > 4:
            place = struct.pack('<I', beyond + len(values))
            values += packed.ljust(16, b'\0')
        else:
            place = packed.ljust(4, b'\0')
        entries += struct.pack('<HHI', tag, 4 if long else 3, len(value)) + place
    head = b'II*\0' + struct.pack('<IH', 8, len(tags)) + entries + bytes(4)
    data = (head + values).ljust(start, b'\0') + content
    return np.frombuffer(data, np.uint8)


def ramp(dtype, bands=3):
    """An image whose bands differ, from the smallest value to the largest."""
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in 'iu' else np.finfo(np.float16)
    steps = np.linspace(float(limits.min), float(limits.max), 24 * 40 * bands)
    return steps.reshape(24, 40, bands)[:, ::-1].astype(dtype)
