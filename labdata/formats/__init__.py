"""Readers and writers of outside file formats: a path in, arrays and records out.

One format a module (or package). Nothing here knows the database, and every fault in a file is a
:class:`~labdata.errors.FormatError` that names the file, the value and what to do.
"""
