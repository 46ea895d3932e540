"""What is measured beside the number, from the same evidence: a module for each family of questions.

Pure functions make a query; `execution` alone runs it. Every answer is a list of dictionaries, one for each row.
"""
