"""Formats that are not read: the refusal names the format and a remedy. Also old formats that are read."""

import base64
import io
import json
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from classifier.errors import PhotoError
from classifier.image_formats.kinds import name
from classifier.images import decode
from tests.image_files import encoded, plain_tiff

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)).resize((80, 60))
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 12345\n"
DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
)
PAGE = b"<!DOCTYPE html>\n<html lang=en><title>Sign in</title>"


def ftyp(*brands: bytes) -> bytes:
    content = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", len(content) + 4) + content + bytes(400)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("1.jpg", encoded(PHOTO, "JPEG"))
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("1.jpg"))
    return buffer.getvalue()


def raw_tiff(*entries: tuple[int, int, int, int]) -> bytes:
    """Return a TIFF that begins like a raw photo: a preview, and further tags that mark it as raw."""
    data = plain_tiff(PHOTO, 1, "<")
    (start,) = struct.unpack_from("<I", data, 4)
    (length,) = struct.unpack_from("<H", data, start)
    packed = [data[start + 2 + 12 * number :][:12] for number in range(length)]
    packed = sorted([*packed, *(struct.pack("<HHII", *entry) for entry in entries)], key=lambda entry: entry[1::-1])
    return data[:start] + struct.pack("<H", len(packed)) + b"".join(packed) + bytes(4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ftyp(b"heic", b"mif1", b"heic"), "a HEIC photo.*save it as JPEG"),
        (ftyp(b"mif1", b"heic", b"mif1"), "a HEIC photo.*save it as JPEG"),
        (ftyp(b"hevc", b"msf1"), "a HEIC photo"),
        (ftyp(b"crx ", b"isom"), "a raw photo"),
        (ftyp(b"isom", b"mp42"), "a video"),
        (ftyp(b"qt  "), "a video"),
        (ftyp(b"avif", b"mif1"), "an AVIF image that is damaged"),
        (b"\xff\x0a" + bytes(99), "a JPEG XL image is not read; save it as JPEG or PNG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "a JPEG XL image"),
        (b"8BPS\0\1" + bytes(99), "a Photoshop document"),
        (b"%PDF-1.7\n1 0 obj", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"<?xml version='1.0'?>\n<!-- made by -->\n<svg/>", "an SVG drawing"),
        (b"\xef\xbb\xbf \n" + PAGE, "an HTML page.*download the photo itself"),
        (b"<html><body>404", "an HTML page"),
        (json.dumps({"error": "not found"}).encode(), "JSON text"),
        (b'[{"a": 1}]', "JSON text"),
        (
            b'{"source-ref": "s3://bucket/1.jpg", "class": 1}\n',
            "an augmented manifest, not an image; training reads it",
        ),
        (b'"source-ref" is an attribute', "^not an image$"),
        (DENIED, "an error message in XML.*download the photo again"),
        (b"\xef\xbb\xbf" + DENIED.partition(b"\n")[2], "an error message in XML"),
        (b"<?xml version='1.0'?>\n<Error xmlns='http://x/'><Code>NoSuchKey</Code></Error>", "an error message in XML"),
        (
            b"<?xml version='1.0'?>\n<annotation><filename>1.jpg</filename></annotation>",
            "an XML document, not an image",
        ),
        (LFS, "a Git LFS pointer.*git lfs pull"),
        (b"../.git/annex/objects/Qx/1k/SHA256E-s5--4d.jpg/SHA256E-s5--4d.jpg", "a git-annex pointer.*git annex get"),
        (b"/annex/objects/SHA256E-s5--4d.jpg\n", "a git-annex pointer"),
        (bytes(5000), "nothing but zeros"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(99), "a raw photo"),
        (b"IIRO\x08\0\0\0" + bytes(99), "a raw photo"),
        (b"IIU\0\x18\0\0\0" + bytes(99), "a raw photo"),
        (b"\x93NUMPY\1\0" + bytes(99), "a NumPy array"),
        (b"--x\r\nContent-Disposition: form-data; name=photo\r\n\r\n" + encoded(PHOTO, "JPEG"), "a multipart form"),
        (b"\r\n" + encoded(PHOTO, "JPEG"), "a photo begins only after 2 bytes"),
        (b"\n" + encoded(PHOTO, "JPEG"), "a photo begins only after 1 byte;"),
        (
            b"MM\0+" + struct.pack(">HHQ", 8, 0, 16) + bytes(99),
            "a TIFF image that is damaged or of a kind that is not read",
        ),
        (b"MM\0*" + bytes(99), "a TIFF image that is damaged or of a kind that is not read"),
        (b"II*\0" + bytes(99), "a TIFF image that is damaged or of a kind that is not read"),
        (b"hello", "^not an image$"),
    ],
)
def test_what_is_not_read_is_named_with_its_remedy(data: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason):
        decode(data)


def test_files_of_other_programs_are_named() -> None:
    icon, jpeg2000 = encoded(PHOTO, "ICO", sizes=[(16, 16)]), encoded(PHOTO, "JPEG2000")
    for data, reason in (
        (icon, "an icon"),
        (jpeg2000, "a JPEG 2000 image is not read; save it as JPEG or PNG"),
        (zipped(), "a ZIP archive.*unpack it"),
        (tarred(), "a TAR archive.*unpack it"),
    ):
        with pytest.raises(PhotoError, match=reason):
            decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_base64_text_of_every_format_is_named(kind: str) -> None:
    data = encoded(PHOTO, kind)
    plain, wrapped, safe = base64.b64encode(data), base64.encodebytes(data), base64.urlsafe_b64encode(data)
    uri = b"data:image/" + kind.lower().encode() + b";base64," + plain
    for text in (plain, wrapped, safe, safe.rstrip(b"="), uri, plain + b"\n"):
        with pytest.raises(PhotoError, match="base64 text; decode them first, or send JSON"):
            decode(text)


def test_text_that_only_looks_like_base64_is_not_named_so() -> None:
    for text in (b"hello", b"aGVsbG8gd29ybGQ=", b"A" * 5000):
        with pytest.raises(PhotoError, match=r"^not an image$"):
            decode(text)


@pytest.mark.parametrize(
    "data",
    [
        raw_tiff((50_706, 1, 4, 0x0401)),
        raw_tiff((254, 4, 1, 1), (330, 4, 1, 8)),
        b"II*\0\x10\0\0\0CR\2\0" + bytes(99),
    ],
    ids=["DNG", "NEF", "CR2"],
)
def test_a_raw_photo_is_refused_though_its_preview_could_be_read(data: bytes) -> None:
    with pytest.raises(PhotoError, match=r"a raw photo .*develop it and save it as JPEG or PNG"):
        decode(data)


def test_a_tiff_whose_compression_is_not_read_is_not_called_damaged() -> None:
    # Only the number of the compression is changed: from 8 (Deflate) to 50,001 (WebP).
    data = encoded(PHOTO, "TIFF", compression="tiff_adobe_deflate")
    entry = struct.pack("<HHIHH", 259, 3, 1, 8, 0)
    assert data.count(entry) == 1
    with pytest.raises(PhotoError, match="a TIFF image that is damaged or of a kind that is not read; save it as JPEG"):
        decode(data.replace(entry, struct.pack("<HHIHH", 259, 3, 1, 50_001, 0)))


def test_the_first_picture_of_a_file_of_several_is_read() -> None:
    other = Image.new("RGB", PHOTO.size, "red")
    for kind in ("MPO", "PNG", "WEBP", "AVIF", "GIF", "TIFF"):
        data = encoded(PHOTO.copy(), kind, save_all=True, append_images=[other.copy(), other.copy()])
        difference = np.abs(np.asarray(decode(data), dtype=int) - np.asarray(PHOTO))
        assert difference.mean() < 40, kind  # the difference from the other pictures is 130


SIGNATURES = [
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image is not read"),
    (b"\0\0\0\x0cjP  \r\n", "a JPEG 2000 image is not read"),
    (b"gimp xcf file", "a GIMP document (XCF) is not read"),
    (b"\0\0\1\0\1\0", "an icon (ICO) is not read"),
    (b"\0\0\2\0\1\0", "a cursor (CUR) is not read"),
    (bytes([0, 0, 2]) + bytes(9) + b"\x40\0\x40\0\x18", "a TGA image is not read"),
    (bytes([0, 0, 10]) + bytes(9) + b"\x40\0\x40\0\x18", "a TGA image is not read"),
    (b"qoif", "a QOI image is not read"),
    (b"\x76\x2f\x31\x01\2\0\0\0", "an OpenEXR image is not read"),
    (b"#?RADIANCE\n", "a Radiance HDR image is not read"),
    (b"DDS |\0\0\0", "a DDS texture is not read"),
    (b"BPG\xfb\x20", "a BPG image is not read"),
    (b"\x8aMNG\r\n\x1a\n", "an MNG animation is not read"),
    (b"SIMPLE  =                    T", "a FITS image is not read"),
    (bytes(128) + b"DICM", "a DICOM image is not read"),
    (b"IIRO\x08\0", "a raw photo is not read"),
    (b"IIRS\x08\0", "a raw photo is not read"),
    (b"MMOR\0\0", "a raw photo is not read"),
    (b"IIU\0\x08\0", "a raw photo is not read"),
    (b"FOVb\0\1", "a raw photo is not read"),
    (b"II\x1a\0\0\0HEAPCCDR", "a raw photo is not read"),
    (b"P6\n# made by\n32 32\n255\n", "a Netpbm image (PBM, PGM, PPM) is not read; save it as JPEG or PNG"),
    (b"P5 92 112 255 ", "a Netpbm image (PBM, PGM, PPM) is not read"),
    (b"P2\r\n92 112\r\n", "a Netpbm image (PBM, PGM, PPM) is not read"),
    (b"PF\n32 32\n-1.0\n", "a PFM image is not read"),
    (b"\x0a\x05\x01\x08\0\0\0\0", "a PCX image is not read"),
    (b"\x01\xda\x01\x01\0\3", "an SGI image is not read"),
    (b"\x59\xa6\x6a\x95\0\0", "a Sun raster image is not read"),
    (b"II\xbc\1\x20\0\0\0", "a JPEG XR image is not read"),
    (b"/* XPM */\nstatic char", "an XPM image is not read"),
    (b"icns\0\0\x12\x34", "an icon (ICNS) is not read"),
    (b"AT&TFORM\0\0", "a DjVu document is not read"),
    (b"\xd7\xcd\xc6\x9a\0\0", "a WMF drawing is not read"),
    (b"\1\0\0\0" + bytes(36) + b" EMF", "an EMF drawing is not read"),
    (b"Rar!\x1a\x07\1\0", "a RAR archive, not an image; unpack it"),
    (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive, not an image; unpack it"),
    (b"BZh91AY&SY", "a bzip2 archive, not an image; unpack it"),
    (b"\xfd7zXZ\0\0\4", "an xz archive, not an image; unpack it"),
    (b"\x28\xb5\x2f\xfd\x24", "a zstd archive, not an image; unpack it"),
    (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file of data, not an image; save its photos"),
    (b"PAR1\x15\4", "a Parquet file of data, not an image"),
    (b"MATLAB 5.0 MAT-file, Platform", "a MATLAB file of data, not an image"),
    (b"FLV\1\5\0", "a video, not an image"),
    (b"OggS\0\2", "a video, not an image"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6", "a video, not an image"),
    (b"\0\0\1\xba\x44", "a video, not an image"),
    (b"PK\3\4\x14\0", "a ZIP archive, not an image; unpack it"),
    (b"\x1f\x8b\x08\0", "a gzip archive, not an image; unpack it"),
    (b"1.jpg" + bytes(252) + b"ustar", "a TAR archive, not an image; unpack it"),
    (b"\x0a\x23\xd7\xce\x20\0\0\0", "a RecordIO file of many photos, not an image"),
    (b"\x1a\x45\xdf\xa3\x9f", "a video, not an image"),
    (b"RIFF\0\0\0\0AVI LIST", "a video, not an image"),
    (b"RIFF\0\0\0\0WEBPVP9 ", "a WebP image that is damaged"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image that is damaged"),
    (b"\xff\xd8\xff\xe0", "a JPEG image that is damaged"),
    (b"GIF89a", "a GIF image that is damaged"),
    (b"II*\0\x08\0\0\0", "a TIFF image that is damaged"),
    (b"MM\0*\0\0\0\x08", "a TIFF image that is damaged"),
    (b"II+\0\x08\0\0\0", "a TIFF image that is damaged"),
    (b"MM\0+\0\x08\0\0", "a TIFF image that is damaged"),
]


@pytest.mark.parametrize(("data", "sentence"), SIGNATURES, ids=[repr(data[-12:]) for data, _ in SIGNATURES])
def test_a_file_is_named_by_its_signature_where_that_belongs_and_nowhere_else(data: bytes, sentence: str) -> None:
    assert name(data + bytes(9)).startswith(sentence)
    assert name(b"?" + data + bytes(9)) != name(data + bytes(9))


@pytest.mark.parametrize(
    ("brands", "sentence"),
    [
        ((b"avis", b"msf1"), "an AVIF image"),
        ((b"isom", b"iso2", b"avif"), "an AVIF image"),  # the last brand counts as well
        ((b"heix",), "a HEIC photo"),
        ((b"heim",), "a HEIC photo"),
        ((b"heis",), "a HEIC photo"),
        ((b"hevx",), "a HEIC photo"),
        ((b"msf1", b"iso8"), "a HEIC photo"),
        ((b"isom", b"crx "), "a raw photo"),
    ],
)
def test_a_media_file_is_named_by_any_of_its_brands(brands: tuple[bytes, ...], sentence: str) -> None:
    assert name(ftyp(*brands)).startswith(sentence)


def test_a_brand_that_only_looks_like_one_is_none() -> None:
    # The four bytes after the first brand are a version, and the bytes after the box are not a brand.
    version, behind = ftyp(b"isom")[:12] + b"heic" + bytes(400), ftyp(b"isom")[:16] + b"heic" + bytes(400)
    assert name(version).startswith("a video") and name(behind).startswith("a video")


def test_a_data_uri_of_a_photo_is_named_as_base64_and_other_text_is_not() -> None:
    encoded_photo = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60))
    assert name(b"data:image/png;base64," + encoded_photo).startswith("the bytes are base64 text")
    assert name(b"data:image/png;base64,") == "not an image"
    # One character is missing, so this base64 of 61 bytes cannot be decoded whole. Only its first 64 characters are examined.
    assert name(encoded_photo.rstrip(b"=")[:-1]).startswith("the bytes are base64 text")
    assert name(b"iVBOR=w0KGgo") == "not an image" and name(b"iVBORw0K=GgoAAAA") == "not an image"
