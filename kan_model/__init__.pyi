"""The public names of kan_model and where they are: for type checkers, and for __init__.py, which loads them by it."""

from typing import Any

from kan_model import formula as formula
from kan_model import interop as interop
from kan_model import lowering as lowering
from kan_model import plot as plot
from kan_model.analysis.attribution import Attribution as Attribution
from kan_model.analysis.attribution import attribute as attribute
from kan_model.analysis.attribution import interactions as interactions
from kan_model.analysis.contributions import Contributions as Contributions
from kan_model.analysis.contributions import contributions as contributions
from kan_model.analysis.dependence import dependence as dependence
from kan_model.analysis.effect import Effect as Effect
from kan_model.analysis.effect import effect as effect
from kan_model.analysis.pruning import Pruned as Pruned
from kan_model.analysis.pruning import prune as prune
from kan_model.ensemble.mean import mean_network as mean_network
from kan_model.ensemble.members import members_of as members_of
from kan_model.ensemble.scaled import scaled_network as scaled_network
from kan_model.grids.adaptation import Adaptation as Adaptation
from kan_model.grids.adaptation import adapt_grid as adapt_grid
from kan_model.grids.alignment import align_grids as align_grids
from kan_model.grids.refinement import refine_grid as refine_grid
from kan_model.monotone.promise import promised_directions as promised_directions
from kan_model.monotone.start import with_monotone_inputs as with_monotone_inputs
from kan_model.network import checkpoint as checkpoint
from kan_model.network.functions import ALIASES as ALIASES
from kan_model.network.functions import FUNCTIONS as FUNCTIONS
from kan_model.network.layer import KANLayer as KANLayer
from kan_model.network.members import Members as Members
from kan_model.network.network import KAN as KAN
from kan_model.network.network import KANConfig as KANConfig
from kan_model.network.network import parameter_count as parameter_count
from kan_model.network.symbolic_edge import SymbolicEdge as SymbolicEdge
from kan_model.symbolic.choice import Candidate as Candidate
from kan_model.symbolic.choice import EdgeReport as EdgeReport
from kan_model.symbolic.choice import Symbolized as Symbolized
from kan_model.symbolic.choice import auto_symbolic as auto_symbolic
from kan_model.symbolic.choice import fix_symbolic as fix_symbolic
from kan_model.symbolic.choice import suggest_symbolic as suggest_symbolic
from kan_model.symbolic.constants import fit_constants as fit_constants

# Rooms and old names.
def __getattr__(name: str) -> Any: ...
