"""Options of ``varscore train-...`` that say how a network is trained, and which of them change nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from varscore.nets.registry import Recipe

log = logging.getLogger(__name__)
RECIPE = "Recipe (default: the architecture's own)"


def recipe_option(help: str, *names: str, **more: Any) -> object:
    return typer.Option(*names, help=help, rich_help_panel=RECIPE, show_default=False, **more)


RecipeName = Annotated[
    Literal["own", "fast"],
    typer.Option(
        "--recipe",
        help="own: as the architecture's paper has it. fast: neighbouring bins together, high rate, adamw, averaged "
        "weights; with --init-motifs 85 % of the filters begin as motifs. For data sets of all bins, with "
        "--precision bf16 where the CPU multiplies in bf16.",
        rich_help_panel=RECIPE,
    ),
]
Optimizer = Annotated[Literal["adam", "adamw", "rmsprop", "sgd", "nesterov"] | None, recipe_option("Optimizer.")]
Schedule = Annotated[Literal["plateau", "cosine", "constant"] | None, recipe_option("How the learning rate falls.")]
Steps = Annotated[
    int | None, recipe_option("Train for N steps, whatever part of an epoch that is.", min=1, metavar="N")
]
Beta2 = Annotated[
    float | None, recipe_option("Decay of adamw's mean of squared gradients.", min=0, max=1, metavar="DECAY")
]
Segment = Annotated[
    int | None,
    recipe_option("Read N neighbouring bins as one stretch of DNA; 1: every window for itself.", min=1, metavar="N"),
]
MotifShare = Annotated[
    float | None,
    recipe_option(
        "Share of the filters that --init-motifs begins, all equally loud; 0: DanQ-JASPAR's way.",
        min=0,
        max=1,
        metavar="SHARE",
    ),
]
TaskBalance = Annotated[
    float | None,
    recipe_option(
        "Of labels: divide a task's loss by its share of positives to this power, so that rare ones are learnt, too "
        "(at most six times the median's weight); 0: all count alike.",
        min=0,
        max=1,
        metavar="POWER",
    ),
]
TeacherShare = Annotated[
    float | None,
    recipe_option(
        "Share of what --teacher says in a target, the rest is its label; .5 unless said otherwise.",
        min=0,
        max=1,
        metavar="SHARE",
    ),
]
RenewedFilters = Annotated[
    int | None,
    recipe_option(
        "With --init-from and --init-motifs: the N filters that the loss would miss least begin anew, as the motifs "
        "that no filter resembles.",
        "--renew-filters",
        min=0,
        metavar="N",
    ),
]
DecayFilters = Annotated[
    bool | None, recipe_option("Whether weight decay is for the first filters, too.", "--decay-filters/--spare-filters")
]
Patience = Annotated[
    int | None, recipe_option("Stop after N epochs without a better validation loss.", min=1, metavar="N")
]
WarmupSteps = Annotated[int | None, recipe_option("Steps over which the rate rises from 0.", min=0, metavar="N")]
Momentum = Annotated[
    float | None, recipe_option("Momentum of sgd, nesterov or rmsprop.", min=0, max=1, metavar="SHARE")
]
Rho = Annotated[
    float | None, recipe_option("Decay of rmsprop's mean of squared gradients.", min=0, max=1, metavar="DECAY")
]
RootEpsilon = Annotated[
    float | None,
    recipe_option(
        "Keras's rmsprop: N is added inside the root, 1e-6 for DanQ's published weights; 0: torch's rule.",
        min=0,
        metavar="N",
    ),
]
WeightDecay = Annotated[float | None, recipe_option("L2 decay of weight matrices.", min=0, metavar="RATE")]
ClipNorm = Annotated[float | None, recipe_option("Clip the gradient to this norm; 0: do not.", min=0, metavar="NORM")]
RecurrentClip = Annotated[
    float | None,
    recipe_option("Cut every element of the gradients of recurrent layers to N; 0: do not.", min=0, metavar="N"),
]
MaxNorm = Annotated[
    float | None,
    recipe_option("Bound the norm of all weights into a unit, after every step; 0: do not.", min=0, metavar="NORM"),
]
OutputL1 = Annotated[
    float | None,
    recipe_option("L1 penalty on what the last dense layer gives, the log-odds.", min=0, metavar="RATE"),
]
PriorBias = Annotated[
    bool | None, recipe_option("Start the output bias at each task's log-odds, or at 0.", "--prior-bias/--zero-bias")
]
MovingAverage = Annotated[
    float | None,
    recipe_option("Validate and keep a moving average of the weights.", "--ema", min=0, max=1, metavar="DECAY"),
]

OPTIMIZERS = {
    "momentum": ("sgd", "nesterov", "rmsprop"),
    "rho": ("rmsprop",),
    "root_epsilon": ("rmsprop",),
    "beta2": ("adamw",),
}
"""Options that are for some optimizers only"""


def refuse_idle(given: Mapping[str, object], recipe: Recipe, *, laid: bool, taught: bool) -> None:
    """Raises UsageError for an option that was set and would change nothing, or warns of it. laid: whether motifs begin
    filters; taught: whether there are teachers"""
    from varscore.errors import UsageError

    for name, takers in OPTIMIZERS.items():
        if given.get(name) and recipe.optimizer not in takers:
            raise UsageError(f"{recipe.optimizer} takes no `{name}`", remedy=f"--optimizer {' or '.join(takers)}")
    if "patience" in given and recipe.schedule == "cosine":
        log.warning("`patience` changes nothing: a cosine schedule goes on to its end")
    if "epochs" in given and recipe.steps:
        raise UsageError("`steps` and `epochs` both say when training ends", remedy="leave out one of them")
    if "teacher_share" in given and not taught:
        raise UsageError("`teacher_share` is of the targets that a teacher gives", remedy="name one: --teacher MODEL")
    if given.get("motif_share") and not laid:
        remedy = "name a file of motifs, and no `renew_filters`"
        raise UsageError("`motif_share` is for the filters that `init_motifs` begins", remedy=remedy)
