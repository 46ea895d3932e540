"""The bill of materials: what is in a release, as CycloneDX, the same bytes every time."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from dashboard.vendored import FOLDER, SCRIPTS, checksum, kept_names
from release.licences import licence_of
from release.locked import Package

# Whose names the serial numbers are: a release has the same one wherever it is built.
_SERIALS = uuid.uuid5(uuid.NAMESPACE_DNS, "bypassflow.cyclonedx")


def bill(version: str, packages: Iterable[Package], made_at: datetime) -> str:
    """Return the bill of a release as JSON: the run-time packages, and the scripts of others that the pages load.

    Raises:
        UnknownLicence: when the licence of a package is not known.
        ValueError: when the result is no valid bill.
    """
    licences = LicenseFactory()
    root = Component(
        type=ComponentType.APPLICATION, name="bypassflow", version=version, bom_ref=f"bypassflow@{version}",
        licenses=[licences.make_from_string("Apache-2.0")],
    )  # fmt: skip
    parts = [
        _library("pypi", each.name, each.version, licences.make_from_string(licence_of(each.name))) for each in packages
    ]
    for script in SCRIPTS:
        part = _library("npm", script.package, script.version, licences.make_from_string(script.licence))
        part.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=checksum(FOLDER / kept_names(script)[script.file])))
        parts.append(part)
    made = Bom(components=parts)
    made.metadata.component = root
    made.metadata.timestamp = made_at.astimezone(UTC)
    made.serial_number = uuid.uuid5(_SERIALS, "\n".join(sorted(str(part.purl) for part in [root, *parts])) + version)
    made.register_dependency(root, parts)
    text = JsonV1Dot6(made).output_as_string(indent=2)
    if (problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        raise ValueError(f"the bill of materials is none: {problem}")
    return _without_tools(text)


def _library(kind: str, name: str, version: str, licence: Any) -> Component:
    purl = PackageURL(kind, None, name, version)
    return Component(
        type=ComponentType.LIBRARY, name=name, version=version, purl=purl, bom_ref=str(purl), licenses=[licence]
    )


def _without_tools(text: str) -> str:
    """Leave out which version of which library wrote it: that is no part of the release."""
    told = json.loads(text)
    told["metadata"].pop("tools", None)
    return json.dumps(told, indent=2, sort_keys=True) + "\n"
