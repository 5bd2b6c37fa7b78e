"""Choose the plan of a fit by successive halving, within a budget of counted work.

Each candidate changes some keys of [network] and [fit]. All candidates fit the same few members of the ensemble; the
quarter with the lowest out-of-fold loss fits the next members, until one candidate is left, which fits the rest. The
candidates of a round are compared on the same rows, and no work for the winner is lost: its members are those of the
published ensemble.

Example: 4 candidates, 8 members. Round 1: 4 candidates fit members 1 and 2. Round 2: the best fits members 3 to 8.
These are 14 fits of a member; without a search they would be 8.

Work is counted in edges: epochs · rows · edges of the members. The count does not depend on the machine, so the same
recipe and table give the same network everywhere that one fit does.

`rounds` says which candidate fits which members, `candidates` makes the recipes, `fit` goes through the rounds.

Source: Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter optimization (2016), with
members in place of steps.
"""
