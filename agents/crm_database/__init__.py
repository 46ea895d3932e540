"""Reads contacts, accounts, activities and tickets out of a CRM's own database."""
