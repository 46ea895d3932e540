"""The floor: DuckDB reads the same files, every column as text, and does nothing with them but count.

python -m benchmarks.duckdb_only DIR
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb


def main(folder: Path) -> None:
    """Print how many records each file holds. All columns are parsed: count(*) alone would skip them."""
    with duckdb.connect() as database:
        database.execute("SET enable_progress_bar = false")
        for path in sorted(folder.glob("**/*.csv")):
            options = f"all_varchar = true, header = {str(path.name != 'Master.csv').lower()}"
            name = str(path).replace("'", "''")
            columns = "count(*), sum(length(concat(COLUMNS(*))))"
            row = database.execute(f"SELECT {columns} FROM read_csv('{name}', {options})").fetchall()[0]
            print(f"{path.relative_to(folder)!s:24} {row[0]:12,}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
