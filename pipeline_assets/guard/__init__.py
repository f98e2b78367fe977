"""What stands before Dagster's web server: who may ask it, from where, and how.

`authority`, `credentials` and `policy` decide and know no web server; `middleware` and `pages` speak HTTP;
`webserver` is the program, and the only module here that imports Dagster.
"""
