"""A SuiteCRM with as many calls as a company has, made by the server itself."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from tests.crm_rows import put

MANY = 100_000

_CALLS = f"""
    INSERT INTO calls (id, date_entered, date_modified, created_by, assigned_user_id, deleted, status, direction)
    SELECT concat('call-', lpad(seq, 6, '0')), '2024-01-01' + INTERVAL seq MINUTE, '2024-01-01' + INTERVAL seq MINUTE,
        'user-1', 'user-1', seq % 50 = 0, 'Held', 'Outbound'
    FROM seq_1_to_{MANY}
"""
_CALLED = f"""
    INSERT INTO calls_contacts (id, call_id, contact_id, date_modified, deleted)
    SELECT concat('cc-', seq), concat('call-', lpad(seq, 6, '0')), concat('contact-', 1 + seq % 2),
        '2024-01-01' + INTERVAL seq MINUTE, 0
    FROM seq_1_to_{MANY}
"""


def fill_many(engine: sa.Engine, count: int = MANY) -> None:
    put(engine, "users", {"id": "user-1", "date_modified": datetime(2024, 1, 1), "user_name": "matti@acme.example"})
    for number in range(1, 11):
        moment = {"date_entered": datetime(2024, 1, 1), "date_modified": datetime(2024, 1, 1), "deleted": False}
        put(engine, "contacts", {"id": f"contact-{number}", **moment, "phone_mobile": f"+358 40 12345{number:02}"})
    put(engine, "accounts", {"id": "account-1", **moment}, {"id": "account-2", **moment})
    with engine.begin() as connection:
        for statement in (_CALLS, _CALLED):
            connection.execute(sa.text(f"{statement} WHERE seq <= {count}"))
