"""What the workers of one server agree on, in the parent and in a worker.

`versions` decides when a version answers, by what `latest` knows of all models; `switches` are those under way, and
`worker_versions` is a worker's side of it. `orders` has all workers do the same and collects what became of it;
`worker_orders` carries the orders out. `common_settings` changes the settings of all workers in this way. `agreements`
is all of it in the parent.
"""
