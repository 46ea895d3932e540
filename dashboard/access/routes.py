"""What each route asks of a visitor: the one table of scopes. A route that is not in it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.access import Scope


@dataclass(frozen=True)
class Need:
    """What a route asks: all of the scopes; None of them stands for a route that is open to everybody.

    `whole_company`: it tells of all teams, so nobody who is restricted to some may ask. `shows_customers`: who asked is
    kept in the trail. `has_tables`: other formats than JSON are tables to take away.
    """

    scopes: frozenset[Scope] | None
    whole_company: bool = False
    shows_customers: bool = False
    has_tables: bool = False


OPEN: Final = Need(None)
_FIGURES: Final = Need(frozenset({"read"}))
_COMPANY: Final = Need(frozenset({"read"}), whole_company=True)
_CUSTOMERS: Final = Need(frozenset({"customer"}), shows_customers=True)
_COMPANY_CUSTOMERS: Final = Need(frozenset({"customer"}), whole_company=True, shows_customers=True)
_DOWNLOAD: Final = Need(frozenset({"read", "export"}))
_CUSTOMER_DOWNLOAD: Final = Need(frozenset({"customer", "export"}), shows_customers=True)
_COMPANY_DOWNLOAD: Final = Need(frozenset({"customer", "export"}), whole_company=True, shows_customers=True)
# What is noted counts for the whole company.
_NOTES: Final = Need(frozenset({"admin"}), whole_company=True)
_JUDGEMENT: Final = Need(frozenset({"admin", "customer"}), shows_customers=True)


def _table(need: Need) -> Need:
    return Need(need.scopes, need.whole_company, need.shows_customers, has_tables=True)


NEEDS: Final[Mapping[str, Need]] = {
    # Those who run the server, and whoever signs in.
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /openapi.json": OPEN,
    "GET /static": OPEN,
    "GET /sign-in": OPEN,
    "POST /sign-in": OPEN,
    "GET /sign-in/openid": OPEN,
    "GET /sign-in/callback": OPEN,
    "POST /sign-out": OPEN,
    "GET /metrics": _COMPANY,
    # The API.
    "GET /v1/bypass-share": _table(_FIGURES),
    "GET /v1/dimensions": _table(_FIGURES),
    "GET /v1/interactions": _table(_CUSTOMERS),
    "GET /v1/interactions/{interaction_id}": _CUSTOMERS,
    "GET /v1/customers": _table(_CUSTOMERS),
    "GET /v1/customers/{customer_id:path}/timeline": _table(_CUSTOMERS),
    "GET /v1/days/{day}": _table(_CUSTOMERS),
    "GET /v1/activities": _table(_COMPANY_CUSTOMERS),
    "GET /v1/identifiers": _table(_CUSTOMERS),
    "GET /v1/identifiers/{token}/timeline": _table(_CUSTOMERS),
    "GET /v1/identifiers/shared": _table(_COMPANY_CUSTOMERS),
    "GET /v1/measures": _table(_FIGURES),
    "GET /v1/measures/{measure_id}/effect": _table(_FIGURES),
    "GET /v1/sources": _table(_COMPANY),
    "GET /v1/audit": _table(_COMPANY),
    "GET /v1/delays": _table(_FIGURES),
    "GET /v1/delays/settling": _table(_FIGURES),
    "GET /v1/service/emails": _table(_FIGURES),
    "GET /v1/service/calls": _table(_COMPANY),
    "GET /v1/service/missed-calls": _table(_COMPANY_CUSTOMERS),
    # The pages.
    "GET /": _FIGURES,
    "GET /explore": _FIGURES,
    "GET /explore.csv": _DOWNLOAD,
    "GET /explore.parquet": _DOWNLOAD,
    "GET /interactions": _CUSTOMERS,
    "GET /interactions.csv": _CUSTOMER_DOWNLOAD,
    "GET /interactions.parquet": _CUSTOMER_DOWNLOAD,
    "GET /interactions/{interaction_id}": _CUSTOMERS,
    "GET /days": _CUSTOMERS,
    "GET /days/{day}": _CUSTOMERS,
    "GET /customers/{customer_id:path}": _CUSTOMERS,
    "GET /customers/{customer_id:path}/interactions.csv": _CUSTOMER_DOWNLOAD,
    "GET /identifiers/{token:path}/interactions.csv": _CUSTOMER_DOWNLOAD,
    "GET /identifiers/{token:path}": _CUSTOMERS,
    "GET /service": _FIGURES,
    "GET /service/calls": _COMPANY,
    "GET /service/lost": _COMPANY_CUSTOMERS,
    "GET /service/continuity": _FIGURES,
    "GET /hygiene": _COMPANY,
    "GET /hygiene/{part}": _COMPANY_CUSTOMERS,
    "GET /hygiene/{part}.csv": _COMPANY_DOWNLOAD,
    "GET /measures": _FIGURES,
    "GET /measures/{measure_id}": _FIGURES,
    "GET /data": _COMPANY,
    "GET /data/accounts": _COMPANY,
    # What readers write.
    "POST /measures": _NOTES,
    "POST /measures/{measure_id:int}/remove": _NOTES,
    "POST /interactions/{interaction_id}/labels": _JUDGEMENT,
}
