"""Buckets of S3 servers: each verb of a store is a module, the requests they share another.

:mod:`~labdata.stores.s3.store` puts the verbs together; :mod:`~labdata.stores.s3.settings` is what
a user can say of a bucket.
"""
