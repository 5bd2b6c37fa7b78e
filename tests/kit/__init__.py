"""What tests of several folders share. Each file holds one thing, named by its noun.

- `server`: kan-serve, as a process or in this one, and what stands beside it. `callers`: what asks it.
- `rotation`: certificates and tokens that are renewed under callers.
- `models`: models whose right answers are known, and their repository.
- `parts`: parts of the service, without a server.
- `waiting`: until a condition holds. `clock`: time that a test moves.
- `pictures`: texts of a picture that are cut off or lie on each other.
- `watcher`: a silent watcher of a training run. `scipy_basis`: SciPy's basis functions, as the truth for ours.

A fixture stays in the conftest.py of its folder, as a thin line around what is here.
"""
