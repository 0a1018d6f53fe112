"""Writes the contents of an image as a CycloneDX 1.6 file, and a table of their licences: `sbom.py IMAGE FOLDER`.

Debian packages are read from dpkg, Python packages from their metadata, netty from the model server's jar. The other parts of
this jar (log4j, slf4j, gson, disruptor, commons) are not listed, because the jar does not hold their versions. Libraries inside a
wheel are not listed either.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

# This program runs inside the image and needs only Python's standard library.
COLLECT = r"""
import json, re, subprocess, sys, zipfile
from importlib.metadata import distributions
from pathlib import Path

found = []
query = ["dpkg-query", "--show", "--showformat", "${binary:Package}\t${Version}\t${Architecture}\n"]
for line in subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines():
    name, version, architecture = line.split("\t")
    name = name.split(":")[0]
    text = Path(f"/usr/share/doc/{name}/copyright")
    words = text.read_text(errors="replace") if text.exists() else ""
    licences = sorted(set(re.findall(r"^License:[ \t]*(\S.*)$", words, re.M)))
    licences = licences or sorted(set(re.findall(r"/usr/share/common-licenses/([\w.+-]*\w)", words)))
    found.append(["deb", name, version, licences, {"arch": architecture}])
for package in distributions():
    classifiers = [c.split(" :: ")[-1] for c in package.metadata.get_all("Classifier", []) if c.startswith("License ::")]
    licence = package.metadata.get("License-Expression") or (package.metadata.get("License") or "").strip().split("\n")[0][:80]
    found.append(["pypi", package.metadata["Name"].lower(), package.version, [licence] if licence else classifiers, {}])
netty = set()
for jar in Path(sys.prefix).rglob("*.jar"):
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            if entry.filename == "META-INF/io.netty.versions.properties":
                netty |= set(re.findall(r"^(netty-\S+?)\.version=(\S+)$", archive.read(entry).decode(), re.M))
found += [["maven", "io.netty/" + name, version, ["Apache-2.0"], {}] for name, version in sorted(netty)]
print(json.dumps(found))
"""


def main(image: str, folder: Path) -> None:
    """Write <image>.cdx.json and <image>-licences.txt into the folder."""
    command = ["docker", "run", "--rm", "--network", "none", image, "python", "-c", COLLECT]
    packages = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    name, _, tag = image.partition(":")
    bom = Bom()
    bom.metadata.component = Component(name=name, version=tag, type=ComponentType.CONTAINER)
    for package in packages:
        bom.components.add(component(*package))
    bom.register_dependency(bom.metadata.component, bom.components)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem:
        sys.exit(f"sbom: {image} gives no valid CycloneDX: {problem}")
    stem = f"{name}-{tag}"
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}.cdx.json").write_text(text + "\n")
    lines = [
        f"{kind}\t{package}\t{version}\t{'; '.join(licences) or 'unknown'}"
        for kind, package, version, licences, _ in packages
    ]
    (folder / f"{stem}-licences.txt").write_text("\n".join(sorted(lines)) + "\n")
    kinds = ", ".join(f"{sum(p[0] == kind for p in packages)} {kind}" for kind in ("deb", "pypi", "maven"))
    unknown = sum(not licences for *_, licences, _ in packages)
    print(f"sbom: {folder}/{stem}.cdx.json, {len(packages)} packages ({kinds}), {unknown} of them without a licence")


def component(kind: str, name: str, version: str, licences: list[str], qualifiers: dict[str, str]) -> Component:
    namespace, _, short = name.rpartition("/")
    purl = PackageURL(kind, "debian" if kind == "deb" else namespace or None, short, version, qualifiers)
    known: list[Any] = [DisjunctiveLicense(name=licence) for licence in licences]
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=purl.to_string(), licenses=known
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
