"""The IDX reader: the right array, or DataError in one line, in little time and memory, whatever the file holds."""

import gzip
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxmlp.data import idx

FUZZ_CASES = 300  # each of the two fuzzers; 10,000 takes half a minute

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
HEADER = struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4)
PLAIN = HEADER + IMAGES.tobytes()
PACKED = gzip.compress(PLAIN)
HTML = b"<!DOCTYPE html>\n<html><body>404: Not Found</body></html>\n"


def header(*shape, zeros=(0, 0), code=8, ndim=3):
    return struct.pack(f">4B{len(shape)}I", *zeros, code, ndim, *shape)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def empty_blocks(count):
    """A gzip stream of `count` deflate blocks without content."""
    return PACKED[:10] + count * b"\x00\x00\x00\xff\xff"


def named(size):
    """PACKED with a file name in its gzip header that makes it `size` bytes long."""
    return PACKED[:3] + b"\x08" + PACKED[4:10] + (size - len(PACKED) - 1) * b"n" + b"\0" + PACKED[10:]


def zeros_gzipped(head, count, trailer=None):
    """The gzip stream of `head` and `count` zero bytes, its trailer replaced by `trailer`."""
    packer = zlib.compressobj(1, wbits=31)
    packed = packer.compress(head) + b"".join(packer.compress(bytes(2**20)) for _ in range(count >> 20))
    packed += packer.compress(bytes(count % 2**20)) + packer.flush()
    return packed if trailer is None else packed[:-8] + trailer


@pytest.mark.parametrize("name", ["images", "images.gz"])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (3, 1, 7), (70, 40, 50)])
def test_reads_every_shape(tmp_path, name, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    content = header(*shape, ndim=len(shape)) + array.tobytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    for given_path in (path, str(path)):
        got = idx.read(given_path, len(shape))
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, array)
        assert idx.read_shape(given_path, len(shape)) == shape


def test_gzip_is_recognised_by_content(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(PACKED)
    np.testing.assert_array_equal(idx.read(path, 3), IMAGES)


def test_reads_a_gzip_header_with_every_field(tmp_path):
    """Extra field, name, comment and header CRC, as other packers write them."""
    head = b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x04\x00abcd" + b"name\0" + b"comment\0"
    path = tmp_path / "images.gz"
    path.write_bytes(head + struct.pack("<H", zlib.crc32(head) & 0xFFFF) + PACKED[10:])
    np.testing.assert_array_equal(idx.read(path, 3), IMAGES)


def test_reads_an_array_too_large_to_keep_unverified(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "MAX_UNVERIFIED", IMAGES.size - 1)
    for name, content in (("plain", PLAIN), ("packed.gz", PACKED)):
        path = tmp_path / name
        path.write_bytes(content)
        np.testing.assert_array_equal(idx.read(path, 3), IMAGES)


BAD = {  # name: (file name, content, what the message says after the path)
    "empty": ("images", b"", "expected an IDX file, got an empty file"),
    "empty gz": ("images.gz", b"", "expected an IDX file, got an empty file"),
    "gzip of nothing": ("images.gz", gzip.compress(b""), "expected a whole IDX header, got an end within it"),
    "one byte": ("images", b"\0", "expected a whole IDX header, got an end within it"),
    "half a header": ("images", HEADER[:15], "expected a whole IDX header, got an end within it"),
    "half a header, gz": (
        "images.gz",
        gzip.compress(HEADER[:15]),
        "expected a whole IDX header, got an end within",
    ),
    "header alone": ("images", HEADER, r"expected 40 bytes, as its header says \(2 x 3 x 4\), got 16"),
    "header alone, gz": ("images.gz", gzip.compress(HEADER), "expected 24 items, as its header says, got 0"),
    "magic": ("images", header(2, 3, 4, zeros=(0, 1)) + PLAIN[16:], r"two zero bytes, got b'\\x00\\x01\\x08\\x03'"),
    "dtype code": ("images", header(2, 3, 4, code=0x0D) + PLAIN[16:], r"type code 0x08 \(uint8\), got 0x0d"),
    "dimensions": ("images", header(24, ndim=1) + PLAIN[16:], "expected the number of dimensions 3, got 1"),
    "truncated": ("images", PLAIN[:-1], "expected 40 bytes, .*, got 39"),
    "truncated before gzip": ("images.gz", gzip.compress(PLAIN[:-1]), "expected 24 items, .*, got 23"),
    "surplus": ("images", PLAIN + b"\0", "expected 40 bytes, .*, got 41"),
    "surplus before gzip": ("images.gz", gzip.compress(PLAIN + b"\0"), "expected 24 items, .*, got more"),
    "count 2^32-1": (
        "images",
        header(2**32 - 1, 3, 4) + PLAIN[16:],
        "at most 1073741824 items, got .* 4294967295 x",
    ),
    "counts 2^32-1": (
        "images.gz",
        gzip.compress(header(*3 * [2**32 - 1])),
        "at most 1073741824 items, got .* 42949",
    ),
    "count beyond gzip": (
        "images.gz",
        gzip.compress(header(10**6, 28, 28)),
        r"expected gzip data of 784000016 .* most",
    ),
    "zero items": ("images", header(0, 3, 4), "expected at least one item, got a header that says 0 x 3 x 4"),
    "zero pixels": ("images", header(2, 3, 0), "expected at least one item, got a header that says 2 x 3 x 0"),
    "truncated gzip": ("images.gz", PACKED[:-9], "expected a whole gzip stream, got its first"),
    "gzip without trailer": ("images.gz", PACKED[:-8], "expected a whole gzip stream, got its first"),
    "gzip magic alone": ("images.gz", PACKED[:2], "expected a whole gzip stream, got its first 2 bytes"),
    "gzip CRC": ("images.gz", flipped(PACKED, -8), "expected intact gzip data, got .*incorrect data check"),
    "gzip length": ("images.gz", flipped(PACKED, -4), "expected intact gzip data, got .*incorrect length check"),
    "gzip method": ("images.gz", flipped(PACKED, 2), "expected intact gzip data, got .*compression method"),
    "gzip, more behind": ("images.gz", PACKED + b"\1", "expected the end after the gzip stream, got more bytes"),
    "gzip, far behind": (
        "images.gz",
        PACKED + bytes(2**17) + b"\1",
        "expected the end after the gzip stream, got more bytes",
    ),
    "gzip, next chunk": (
        "images.gz",
        named(idx.CHUNK) + b"\1",
        "expected the end after the gzip stream, got more bytes",
    ),
    "the array twice": ("images.gz", PACKED + PACKED, "expected .* items, as its header says, got more"),
    "a second stream cut off": (
        "images.gz",
        gzip.compress(PLAIN[:-3]) + gzip.compress(PLAIN[-3:])[:-4],
        "expected a whole gzip stream",
    ),
    "gzip in gzip": ("images.gz", gzip.compress(PACKED), r"two zero bytes, got b'\\x1f\\x8b"),
    "plain named gz": ("images.gz", PLAIN, r"expected gzip data, as its name says, got .* b'\\x00\\x00\\x08\\x03"),
    "HTML": ("images", HTML, "which starts with two zero bytes, got b'<!DO'"),
    "HTML named gz": ("images.gz", HTML, "expected gzip data, as its name says, got .* b'<!DOCTYP'"),
    "gzip of HTML": ("images.gz", gzip.compress(HTML), "which starts with two zero bytes, got b'<!DO'"),
    "no content": ("images.gz", empty_blocks(10**6), "expected gzip data, got .* bytes that hold only 0"),
    "endless name": ("images.gz", b"\x1f\x8b\x08\x08" + 3 * 10**6 * b"n", "expected gzip data, got .* hold only 0"),
}


@pytest.mark.parametrize("zeros", [1, 100, 2 * idx.CHUNK])
def test_passes_over_zeros_behind_and_between_gzip_streams(tmp_path, zeros):
    """As gzip does: they fill the blocks of a tape."""
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(PLAIN[:17]) + bytes(zeros) + gzip.compress(PLAIN[17:]) + bytes(zeros))
    (tmp_path / "images").write_bytes(PLAIN)
    np.testing.assert_array_equal(idx.read(path, 3), idx.read(tmp_path / "images", 3))


@pytest.mark.parametrize("cuts", [[7], [16], [-1], [2, 17, 20]])
def test_reads_several_gzip_streams_as_one(tmp_path, cuts):
    """As gzip does: files that were compressed in parts, or by several processes."""
    parts = [PLAIN[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    path = tmp_path / "images.gz"
    path.write_bytes(b"".join(map(gzip.compress, parts)))
    (tmp_path / "images").write_bytes(PLAIN)
    np.testing.assert_array_equal(idx.read(path, 3), idx.read(tmp_path / "images", 3))


@pytest.mark.parametrize("case", BAD)
def test_refuses(tmp_path, case):
    name, content, message = BAD[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(idx.DataError, match=message) as caught:
        idx.read(path, 3)
    assert one_line_about(path, caught.value)


def one_line_about(path, error):
    message = str(error)
    return message.startswith(f"{path}: expected ") and ", got " in message and "\n" not in message


def test_refuses_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, found in {
        tmp_path / "absent": "No such file or directory",
        tmp_path: "a directory",
        tmp_path / "fifo": "a FIFO",
        Path("/dev/zero"): "a device or socket",
    }.items():
        for reader in (idx.read, idx.read_shape):
            with pytest.raises(idx.DataError, match=f"file, got {found}$") as caught:
                reader(path, 3)
            assert one_line_about(path, caught.value)


def test_refuses_an_unreadable_file(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(PLAIN)
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may read everything
        with pytest.raises(idx.DataError, match="expected a readable file, got Permission denied") as caught:
            idx.read(path, 3)
    finally:
        os.seteuid(user)
    assert one_line_about(path, caught.value)


def test_refuses_a_file_whose_disk_fails():
    path = Path("/proc/self/mem")  # a regular file that cannot be read at 0
    if not path.exists():
        pytest.skip("needs Linux")
    with pytest.raises(idx.DataError, match="expected a readable file, got Input/output error") as caught:
        idx.read(path, 3)
    assert one_line_about(path, caught.value)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS and /proc")
def test_refuses_what_does_not_fit_the_memory(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(header(40, 1000, 1000) + bytes(40 * 10**6))
    program = (
        "import resource, sys; from jaxmlp.data import idx\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 10**7, used + 2 * 10**7))\n"
        "try: idx.read(sys.argv[1], 3)\n"
        "except idx.DataError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{path}: expected an array that fits the memory, got ")


@pytest.mark.parametrize(
    ("shape", "zeros", "trailer"),
    [
        pytest.param((60_000, 28, 28), 100 * 10**6, None, id="bomb"),
        pytest.param((100, 1000, 1000), 100 * 10**6, bytes(8), id="CRC of a large array"),
        pytest.param((100, 1000, 1000), 100 * 10**6 - 1, None, id="large array, one item short"),
    ],
)
def test_a_bad_file_takes_little_memory(tmp_path, shape, zeros, trailer):
    path = tmp_path / "images.gz"
    path.write_bytes(zeros_gzipped(header(*shape), zeros, trailer))
    tracemalloc.start()
    try:
        with pytest.raises(idx.DataError) as caught:
            idx.read(path, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert one_line_about(path, caught.value)
    assert peak < idx.MAX_UNVERIFIED + 2**20


def test_read_shape_leaves_the_items_alone(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(flipped(gzip.compress(header(1000, 3, 4) + bytes(12_000)), -8))
    assert idx.read_shape(path, 3) == (1000, 3, 4)
    with pytest.raises(idx.DataError):
        idx.read(path, 3)


def test_sha256_is_that_of_the_plain_file():
    # printf '\0\0\10\1\0\0\0\3abc' | sha256sum
    expected = "379a7afbfd9f0de0a36184463dd209c260f4582821ea2e5e4c40c7eb713dbda2"
    assert idx.sha256(np.frombuffer(b"abc", np.uint8)) == expected
    assert idx.sha256(np.frombuffer(b"a-b-c-", np.uint8)[::2]) == expected


def parse(content, ndim):
    """What the format says `content` is, or None: written without a look at the reader."""
    head = 4 + 4 * ndim
    if len(content) < head or content[:4] != bytes([0, 0, 8, ndim]):
        return None
    shape = [int.from_bytes(content[4 * k : 4 * k + 4], "big") for k in range(1, ndim + 1)]
    items = np.frombuffer(content[head:], np.uint8)
    return items.reshape(shape) if items.size and items.size == int(np.prod(shape, dtype=object)) else None


def outcome(path, content, ndim):
    """The array read from a file with that content, or None for DataError."""
    path.write_bytes(content)
    try:
        return idx.read(path, ndim)
    except idx.DataError as error:
        refusal = error
    assert one_line_about(path, refusal)
    return None


def check_against_parse(path, content, ndim):
    got, packed = outcome(path, content, ndim), content[:2] == b"\x1f\x8b"
    if packed:
        try:
            expected = parse(gzip.decompress(content), ndim)
        except (OSError, EOFError, zlib.error):
            expected = None
        if got is None:  # a damaged gzip header may leave the content whole
            return
    else:
        expected = parse(content, ndim)
    assert (got is None) == (expected is None)
    if got is not None:
        np.testing.assert_array_equal(got, expected)


small = st.integers(0, 3)
beginnings = st.one_of(
    st.sampled_from([b"", b"\0\0", b"\0\0\x08", b"\x1f\x8b\x08\0" + bytes(6)]),
    st.builds(lambda a, b, c: header(a, b, c), small, small, small),
    st.builds(lambda a: header(a, ndim=1), small),
)


@pytest.mark.slow
@settings(max_examples=FUZZ_CASES)
@given(beginnings, st.binary(max_size=40), st.booleans(), st.sampled_from([1, 3]))
@example(b"", PLAIN, True, 3)
@example(b"", PLAIN, False, 3)
def test_fuzz_any_bytes(tmp_path_factory, beginning, rest, packed, ndim):
    content = gzip.compress(beginning + rest) if packed else beginning + rest
    check_against_parse(fuzz_file(tmp_path_factory), content, ndim)


positions = st.floats(0, 1, exclude_max=True)
edits = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "drop", "copy"]), positions, positions), max_size=3
)


@pytest.mark.slow
@settings(max_examples=FUZZ_CASES)
@given(st.sampled_from([PLAIN, PACKED, header(24, ndim=1) + IMAGES.tobytes()]), edits, st.booleans())
def test_fuzz_a_damaged_file(tmp_path_factory, content, edits, repack):
    for kind, first, second in edits:
        at, bit = int(first * len(content)), int(second * 8)
        if not content:
            break
        content = {
            "flip": content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :],
            "cut": content[:at],
            "insert": content[:at] + bytes(bit) + content[at:],
            "drop": content[:at] + content[at + 1 + bit :],
            "copy": content + content[at:],
        }[kind]
    if repack:
        content = gzip.compress(content)
    check_against_parse(fuzz_file(tmp_path_factory), content, 3)


def fuzz_file(tmp_path_factory):
    return tmp_path_factory.getbasetemp() / "fuzz-ubyte"
