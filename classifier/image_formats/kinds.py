"""Names the kind of a file that no decoder reads, and the remedy."""

import base64
import re

_SAVE = "save it as JPEG or PNG"
_HEIF = "a HEIC photo (HEIF) is not read; save it as JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
_RAW = "a raw photo is not read; develop it and save it as JPEG or PNG"
_ARCHIVE = "archive, not an image; unpack it"
_VIDEO = "a video, not an image; save frames of it as JPEG or PNG"
_DATA = "file of data, not an image; save its photos as JPEG or PNG"
# Each row: the position of the magic bytes, the bytes, and the sentence for the owner.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\x0a", f"a JPEG XL image is not read; {_SAVE}"),
    (0, b"\0\0\0\x0cJXL ", f"a JPEG XL image is not read; {_SAVE}"),
    (0, b"\0\0\0\x0cjP  ", f"a JPEG 2000 image is not read; {_SAVE}"),
    (0, b"\xff\x4f\xff\x51", f"a JPEG 2000 image is not read; {_SAVE}"),
    (0, b"8BPS", f"a Photoshop document (PSD) is not read; {_SAVE}"),
    (0, b"gimp xcf", f"a GIMP document (XCF) is not read; {_SAVE}"),
    (0, b"\0\0\1\0", f"an icon (ICO) is not read; {_SAVE}"),
    # TGA has no magic bytes: these are a header without name or palette, of colours, of greys, and of packed colours.
    (0, b"\0\0\2\0\0\0\0\0", f"a TGA image is not read; {_SAVE}"),
    (0, b"\0\0\3\0\0\0\0\0", f"a TGA image is not read; {_SAVE}"),
    (0, b"\0\0\x0a\0\0\0\0\0", f"a TGA image is not read; {_SAVE}"),
    (0, b"\0\0\2\0", f"a cursor (CUR) is not read; {_SAVE}"),
    (0, b"%PDF", "a PDF document, not an image; save its pages as JPEG or PNG"),
    (0, b"%!PS", "a PostScript document, not an image; save its pages as JPEG or PNG"),
    (0, b"qoif", f"a QOI image is not read; {_SAVE}"),
    (0, b"\x76\x2f\x31\x01", f"an OpenEXR image is not read; {_SAVE}"),
    (0, b"#?RADIANCE", f"a Radiance HDR image is not read; {_SAVE}"),
    (0, b"DDS ", f"a DDS texture is not read; {_SAVE}"),
    (0, b"BPG\xfb", f"a BPG image is not read; {_SAVE}"),
    (0, b"\x8aMNG", f"an MNG animation is not read; {_SAVE}"),
    (0, b"SIMPLE  =", f"a FITS image is not read; {_SAVE}"),
    # Netpbm: P1 to P7 and a blank. Datasets of traffic signs and of faces use this format.
    *(
        (0, b"P%d%c" % (number, blank), f"a Netpbm image (PBM, PGM, PPM) is not read; {_SAVE}")
        for number in range(1, 8)
        for blank in b"\n\r\t "
    ),
    (0, b"PF\n", f"a PFM image is not read; {_SAVE}"),
    (0, b"Pf\n", f"a PFM image is not read; {_SAVE}"),
    (0, b"\x0a\x05\x01\x08", f"a PCX image is not read; {_SAVE}"),
    (0, b"\x01\xda\0", f"an SGI image is not read; {_SAVE}"),
    (0, b"\x01\xda\1", f"an SGI image is not read; {_SAVE}"),
    (0, b"\x59\xa6\x6a\x95", f"a Sun raster image is not read; {_SAVE}"),
    (0, b"II\xbc\1", f"a JPEG XR image is not read; {_SAVE}"),
    (0, b"/* XPM */", f"an XPM image is not read; {_SAVE}"),
    (0, b"icns", f"an icon (ICNS) is not read; {_SAVE}"),
    (0, b"AT&TFORM", f"a DjVu document is not read; {_SAVE}"),
    (0, b"\xd7\xcd\xc6\x9a", f"a WMF drawing is not read; {_SAVE}"),
    (40, b" EMF", f"an EMF drawing is not read; {_SAVE}"),
    (128, b"DICM", f"a DICOM image is not read; {_SAVE}"),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIRS", _RAW),
    (0, b"MMOR", _RAW),
    (0, b"IIU\0", _RAW),
    (0, b"FOVb", _RAW),
    (6, b"HEAPCCDR", _RAW),
    (0, b"PK\3\4", f"a ZIP {_ARCHIVE}"),
    (0, b"\x1f\x8b", f"a gzip {_ARCHIVE}"),
    (257, b"ustar", f"a TAR {_ARCHIVE}"),
    (0, b"Rar!\x1a\x07", f"a RAR {_ARCHIVE}"),
    (0, b"7z\xbc\xaf\x27\x1c", f"a 7z {_ARCHIVE}"),
    (0, b"BZh", f"a bzip2 {_ARCHIVE}"),
    (0, b"\xfd7zXZ\0", f"an xz {_ARCHIVE}"),
    (0, b"\x28\xb5\x2f\xfd", f"a zstd {_ARCHIVE}"),
    (0, b"\x89HDF\r\n\x1a\n", f"an HDF5 {_DATA}"),
    (0, b"PAR1", f"a Parquet {_DATA}"),
    (0, b"MATLAB 5.0", f"a MATLAB {_DATA}"),
    (0, b"\x0a\x23\xd7\xce", "a RecordIO file of many photos, not an image; training reads it, a request is one photo"),
    (0, b"\x93NUMPY", f"a NumPy array, not an image; {_SAVE}"),
    (0, b"\x1a\x45\xdf\xa3", _VIDEO),
    (8, b"AVI ", _VIDEO),
    (0, b"FLV\1", _VIDEO),
    (0, b"OggS", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),
    (0, b"\0\0\1\xba", _VIDEO),
    (0, b"\0\0\1\xb3", _VIDEO),
    (8, b"WEBP", f"a WebP image that is damaged or of a kind that is not read; {_SAVE}"),
    (0, b"\x89PNG\r\n\x1a\n", f"a PNG image that is damaged or of a kind that is not read; {_SAVE}"),
    (0, b"\xff\xd8\xff", f"a JPEG image that is damaged or of a kind that is not read; {_SAVE}"),
    (0, b"GIF8", f"a GIF image that is damaged or of a kind that is not read; {_SAVE}"),
    (0, b"II*\0", f"a TIFF image that is damaged or of a kind that is not read; {_SAVE} with 8 bits a sample"),
    (0, b"MM\0*", f"a TIFF image that is damaged or of a kind that is not read; {_SAVE} with 8 bits a sample"),
    (0, b"II+\0", f"a TIFF image that is damaged or of a kind that is not read; {_SAVE} with 8 bits a sample"),
    (0, b"MM\0+", f"a TIFF image that is damaged or of a kind that is not read; {_SAVE} with 8 bits a sample"),
)
# Texts that users send instead of a photo: their beginning, in lower case and without leading blanks, and the error's text.
_TEXTS = (
    (b"version https://git-lfs.github.com/", "a Git LFS pointer instead of the photo; run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer instead of the photo; run `git annex get`"),
    (b"<svg", f"an SVG drawing, not an image of pixels; {_SAVE}"),
    (b"<!doctype html", "an HTML page, not an image; download the photo itself"),
    (b"<html", "an HTML page, not an image; download the photo itself"),
    (b"<error", "an error message in XML, as S3 answers, not an image; see what it says and download the photo again"),
    (b"<?xml", "an XML document, not an image; download the photo itself"),
)
_IN_XML = (b"<svg", b"<error")  # these may follow an XML declaration or a comment
_JSON = re.compile(rb'\{\s*["}]|\[\s*[\[{"\d\]]')
_ANNEX = re.compile(rb"[./]*\.git/annex/objects/")
_BASE64 = 'the bytes are base64 text; decode them first, or send JSON as {"instances": [{"b64": "..."}]}'
_ALPHABET = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_FORM = "the bytes are a multipart form; send the photo's bytes alone"
_LOOKED_AT = 4096  # the bytes at the beginning of the file that are examined
_PHOTOS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def name(data: bytes) -> str:
    """Return one sentence with the data's kind and the remedy; call this when no decoder reads the data."""
    head = data[:_LOOKED_AT]
    if head[4:8] == b"ftyp":
        return _media(head)
    for place, magic, sentence in _MAGIC:
        if head.startswith(magic, place):
            return sentence
    if not head.strip(b"\0"):
        return "not an image: the file begins with nothing but zeros; copy or download it again"
    return _hidden(head) or _text(head) or "not an image"


def _media(head: bytes) -> str:
    """Return the sentence for an ISO base media file, from the brands that it lists (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[place : place + 4] for place in range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return f"an AVIF image that is damaged or of a kind that is not read; {_SAVE}"
    if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
        return _HEIF
    if b"crx " in brands:
        return _RAW
    return _VIDEO


def _text(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"data:image/"):
        text = text.partition(b",")[2]
    squeezed = b"".join(text.split())
    if _ALPHABET.fullmatch(squeezed) and _is_photo(squeezed):
        return _BASE64
    small = text.lower()
    for start, sentence in _TEXTS:
        if small.startswith(start) or (start in _IN_XML and small.startswith((b"<?xml", b"<!--")) and start in small):
            return sentence
    if _ANNEX.match(text):
        return dict(_TEXTS)[b"/annex/objects/"]
    if _JSON.match(text) and b'"source-ref"' in text:
        return "an augmented manifest, not an image; training reads it, a request is one of the photos that it names"
    if _JSON.match(text):
        return "JSON text, not an image; send it as application/json, or download the photo again"
    return None


def _is_photo(squeezed: bytes) -> bool:
    """Return whether base64 text, without blanks, decodes to the beginning of a photo."""
    part = squeezed[: len(squeezed[:64]) // 4 * 4].translate(bytes.maketrans(b"-_", b"+/"))
    decoded = base64.b64decode(part)
    photos = (*_PHOTOS, b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
    return decoded.startswith(photos) or decoded[4:8] == b"ftyp"


def _hidden(head: bytes) -> str | None:
    if head.startswith(b"--") and b"content-disposition:" in head.lower():
        return _FORM
    places = [place for place in map(head.find, _PHOTOS) if place > 0]
    if not places:
        return None
    before = f"{min(places):,} bytes" if min(places) > 1 else "1 byte"
    return f"not an image: a photo begins only after {before}; cut off what is before it"
