"""The database: an embedded server or the lab's, one connection, projects and codecs."""
