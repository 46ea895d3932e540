"""What the tables of CRMs are like, and what their rows say as canonical records: data and pure functions, no SQL."""
