"""The licences of what bypassflow is run with: as the packages state them, or as somebody has read them.

An expression is one of SPDX, such as "MIT" or "MPL-2.0 AND (Apache-2.0 OR MIT)".
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from typing import Final

from license_expression import AND, OR, ExpressionError, LicenseSymbol, get_spdx_licensing

# What may be distributed with software under Apache-2.0, or be installed beside it. The weak copyleft of MPL-2.0 and
# LGPL holds for the files of that library, which nobody changes here.
ALLOWED: Final = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Modification", "CC-PDDC", "CC0-1.0", "ISC",
    "LGPL-2.1-or-later", "LGPL-3.0-only", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Zlib",
})  # fmt: skip
# Packages whose metadata have no expression that can be read: what the licence file in them says.
BY_HAND: Final[Mapping[str, str]] = {
    "aiohttp-cors": "Apache-2.0",
    "aiosignal": "Apache-2.0",
    "async-timeout": "Apache-2.0",
    "contourpy": "BSD-3-Clause",
    "cycler": "BSD-3-Clause",
    # Its GPL is that of an Emacs mode, which is in the source but in no wheel.
    "docutils": "CC-PDDC AND BSD-2-Clause AND BSD-3-Clause",
    "faust-streaming": "BSD-3-Clause",
    "imapclient": "BSD-3-Clause",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "kiwisolver": "BSD-3-Clause",
    "matplotlib": "PSF-2.0",
    "mode-streaming": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "requests-oauthlib": "ISC",
    "shellingham": "ISC",
    "sortedcontainers": "Apache-2.0",
    "venusian": "BSD-3-Clause-Modification",
}
# Classifiers that say which licence exactly.
_CLASSIFIERS: Final[Mapping[str, str]] = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
}
_SPDX: Final = get_spdx_licensing()


class UnknownLicence(Exception):
    """Nobody knows under which licence a package comes."""


def licence_of(name: str) -> str:
    """Return the expression of an installed package.

    Raises:
        UnknownLicence: when it states none and nobody has read its licence file.
    """
    if name in BY_HAND:
        return BY_HAND[name]
    try:
        stated = metadata(name)
    except PackageNotFoundError:
        raise UnknownLicence(f"{name} is not installed; run: make setup") from None
    for text in (stated["License-Expression"], stated["License"]):
        if text and is_expression(text):
            return str(_SPDX.parse(text).render())
    found = {_CLASSIFIERS[each] for each in stated.get_all("Classifier", ()) if each in _CLASSIFIERS}
    if len(found) == 1:
        return found.pop()
    raise UnknownLicence(f"{name} states no licence that can be read; read its licence file and note it in BY_HAND")


def is_expression(text: str) -> bool:
    """Return whether a text is an expression of licences that SPDX knows."""
    try:
        return not _SPDX.validate(text).errors
    except ExpressionError:
        return False


def is_allowed(expression: str) -> bool:
    """Return whether a package under this licence may be used.

    >>> is_allowed("MPL-2.0 AND (GPL-3.0-only OR MIT)"), is_allowed("MIT AND GPL-3.0-only")
    (True, False)
    """
    return _allows(_SPDX.parse(expression))


def _allows(tree: object) -> bool:
    match tree:
        case AND():
            return all(_allows(each) for each in tree.args)
        case OR():
            return any(_allows(each) for each in tree.args)
        case LicenseSymbol():
            return tree.key in ALLOWED
    return False
