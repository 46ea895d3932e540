"""The CRMs whose tables are known, and the one that a configuration means."""

from __future__ import annotations

import difflib
from typing import Final

from pipeline.crm_tables import configured, espocrm, odoo, suitecrm
from pipeline.crm_tables.tables import Layout
from pipeline.errors import ConfigurationError
from schemas.crm_database import CrmDatabaseSettings

# Rises whenever rows are told in another way: every database is then told anew.
VERSION: Final = 3
KNOWN: Final = {found.name: found for found in (suitecrm.LAYOUT, espocrm.LAYOUT, odoo.LAYOUT)}


def layout_of(settings: CrmDatabaseSettings) -> Layout:
    """Return the tables of a CRM.

    Raises:
        ConfigurationError: when nobody knows the mapping, or the tables that are listed do not fit.
    """
    if settings.mapping == "tables":
        return configured.layout(settings)
    if settings.mapping in KNOWN:
        return KNOWN[settings.mapping]
    near = difflib.get_close_matches(settings.mapping.casefold(), KNOWN, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(
        f"[[crm_database]] of source {settings.source!r}: unknown mapping {settings.mapping!r}{hint}; known are "
        f"{', '.join(KNOWN)}, and a [[crm_database.table]] for each table of any other CRM"
    )
