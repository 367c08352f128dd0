"""What a reader of a chart is told about each number: formula in a line, range, what high means."""

from __future__ import annotations

TEXTS = {
    "seconds": (
        "Wall time in seconds that sampling took since the sample before: drawing and writing that one, looking at the network "
        "and measuring for this one. 0 or more; the last sample's writing and the end of the run are not in it."
    ),
    "on/share": (
        "Share of the slice on which a unit is on (pre-activation > 0), mean over the layer's units. Range 0 to 1; 0: never on "
        "here, 1: always on here."
    ),
    "regions/seen": (
        "Number of activation patterns of all units at the grid points; of a network of ReLUs a lower bound on the slice's "
        "linear regions. 1 or more; high: the network bends in many places."
    ),
    "regions/seen_share": "regions/seen by the number of grid points. Range 0 to 1; near 1 the grid is too coarse to tell.",
    "drift/flipped": (
        "Share of the slice on which a unit switched on or off since the last sample, mean over the layer's units. Range 0 to "
        "1; high: boundaries moved far. Samples far apart see more of it."
    ),
    "drift/shift": (
        "Part of drift/flipped (Shapley value) that comes from boundaries shifting in parallel: the change of b / |w|, taken at "
        "the middle of the layer's inputs. shift + rotate + upstream = flipped; negative where it undid what another part did."
    ),
    "drift/rotate": (
        "Part of drift/flipped (Shapley value) that comes from boundaries turning: the change of w / |w|. shift + rotate + "
        "upstream = flipped; negative where it undid what another part did."
    ),
    "drift/upstream": (
        "Part of drift/flipped (Shapley value) that comes from the layers below moving this layer's inputs. 0 where a "
        "layer reads the input itself. shift + rotate + upstream = flipped; negative where it undid what another part did."
    ),
    "cause/bias": (
        "Part of drift/flipped (Shapley value) done by the units' own bias parameters. Unlike drift/shift it depends on where "
        "the inputs' origin lies. bias + weights + upstream = flipped."
    ),
    "cause/weights": "Part of drift/flipped (Shapley value) done by the units' own weights. bias + weights + upstream = flipped.",
    "cause/upstream": "Part of drift/flipped (Shapley value) done by the layers below. bias + weights + upstream = flipped.",
    "line/turn": (
        "Angle in degrees by which the layer's straight lines turned since the last sample, median of the absolute values. Range "
        "0 to 180; high: lines turned far."
    ),
    "line/slide": (
        "Distance in input lengths by which the layer's straight lines shifted since the last sample, measured at the slice's "
        "centre, median of the absolute values. 0 or more; high: lines shifted far."
    ),
    "copycat/max_phi": (
        "Likeness of the layer's most alike pair of units: |phi|, the absolute correlation of their on/off states over the "
        "slice. Range 0 to 1; 1: the same boundary. Means something only above copycat/chance. Units for which a grid point or "
        "two would decide whether it is above that are left out."
    ),
    "copycat/chance": (
        "The level that copycat/max_phi is to be compared with: the highest of 0.95, what the most alike two of as many random "
        "lines (parallel ones, for a layer that reads one number) reach in one set of twenty, and what this run's own first "
        "patterns reach when mirrored and turned. Range 0.95 to 1, fixed for the run; nearly 1: no pair can be told from chance."
    ),
    "copycat/pairs": (
        "Number of pairs of comparable units whose likeness |phi| is at or above copycat/chance. 0 or more; high: many copies. 0 "
        "also where no units are comparable; copycat/max_phi has no value then."
    ),
    "copycat/new_pairs": (
        "Those of copycat/pairs that were below copycat/chance at the first sample: copies that training made. 0 or more; high: "
        "many."
    ),
    "copycat/largest_cluster": (
        "Units in the largest group of which all pairs are copycats (complete linkage). 1: no copies; high: many units do one "
        "unit's work."
    ),
    "copycat/share": "Share of live units that repeat another: 1 - groups / live units. Range 0 to 1; high: many copies.",
    "copycat/effective_units": (
        "Effective number of live units, (sum l)^2 / sum l^2 with the eigenvalues l of the matrix of phi. 1: all are copies; "
        "the number of live units: all are uncorrelated."
    ),
    "dormant/never_on": (
        "Share of the layer's units that are on nowhere on this slice. Range 0 to 1; high: many. Not dead: they may be on "
        "elsewhere."
    ),
    "dormant/always_on": (
        "Share of the layer's units that are on everywhere on this slice, so that they do not bend it. Range 0 to 1."
    ),
    "dormant/live": "Share of the layer's units that switch on this slice. Range 0 to 1; high: many boundaries in view.",
    "dormant/tau": (
        "Share of the layer's units whose mean absolute activation on this slice is at most tau times the layer's mean "
        "(tau-dormant, Sokar et al. 2023; tau is 0.025 unless you gave another). Range 0 to 1; high: much of the layer is idle."
    ),
    "dormant/saturated": (
        "Share of the layer's units and of this slice's points at which the slope of the activation, a sigmoid or tanh, is less "
        "than a hundredth of the largest one. Range 0 to 1; high: hardly any gradient gets through."
    ),
    "dormant/revivals": (
        "How often, so far, a unit was on somewhere on the slice after a sample at which it was nowhere. 0 or more; high: much "
        "came back."
    ),
    "complexity/local": (
        "How many of the layer's boundaries cross a neighbourhood of 5 % of the slice's side (or the radius that you gave), mean "
        "over the slice. Range 0 to the layer's units; high: the network bends much near a typical point."
    ),
    "decision/length": (
        "Length of the border between the classes that win, with the slice's side as unit. 0 or more; 1: a straight line across; "
        "high: a long or ragged border."
    ),
    "decision/fragments": (
        "Connected pieces of the map of winning classes, of five grid points or more. 1 or more; high: the map is torn."
    ),
    "decision/never": "Classes that win nowhere on the slice. Range 0 to C - 1. They may win elsewhere.",
    "symmetry/left_right": (
        "Likeness of the layer's boundaries, or of the output or target, to their mirror image along the slice's first axis. "
        "Range -1 to 1 (classes: 0 to 1); 1: each has its mirror image. Means something above symmetry/chance, where the "
        "target's is too."
    ),
    "symmetry/up_down": "The same along the slice's second axis. Range -1 to 1 (classes: 0 to 1); 1: mirror images.",
    "symmetry/chance": (
        "What symmetry/left_right and up_down are to be compared with: the mean over twenty other lines of reflection. Range -1 "
        "to 1; high: alike however mirrored, as what crowds in the middle is."
    ),
    "symmetry/f1_left_right": (
        "Share of the layer's boundaries that have a mirror image within two grid points in 128, along the slice's first axis: "
        "precision, recall and F1 in one. Range 0 to 1; 1: all. Means something above symmetry/f1_chance."
    ),
    "symmetry/f1_up_down": "The same along the slice's second axis. Range 0 to 1; 1: all boundaries have their mirror image.",
    "symmetry/f1_chance": (
        "What symmetry/f1_left_right and f1_up_down are to be compared with: the mean over twenty other lines of reflection. Range "
        "0 to 1; near 1: boundaries fill the slice, and the F1 says nothing."
    ),
    "indecisive/jitter": (
        "Share of the slice that flips from one sample to the next, mean over the last eight samples and the layer's "
        "units. Range 0 to 1; high: much goes on."
    ),
    "indecisive/rel_jitter": (
        "The largest jitter of a unit by the median of the layer's live units. 0 or more; 1: all alike; high: one moves while the "
        "others stand."
    ),
    "indecisive/osc": (
        "How much units go to and fro: 1 - sum f2 / sum (f1 + f1 before), of flips to the next sample (f1) and the next "
        "but one (f2). Range 0 to 1; 0: drift, 0.29: random walk, 0.5: noise about a place, 1: two states in turn."
    ),
    "indecisive/ret": (
        "How far units are back where they were eight samples ago: 1 - flipped since then / sum of flips. Range 0 to 1; 1: back."
    ),
    "indecisive/units": (
        "Units that flip much (five grid points a sample and four times the layer's median, or more) and go to and fro (osc and "
        "ret above 0.5). 0 or more; one that is named at one sample only may be a random walk."
    ),
    "indecisive/strict": (
        "Those of indecisive/units while indecisive/output_moved is below 0.01: they flip without a change of the output. 0 "
        "or more."
    ),
    "indecisive/output_moved": (
        "How much the output on the slice changes from one sample to the next, mean over the last eight samples: of a probability "
        "|dp|, of classes the share whose winner changed, of a value |dv| by its range. Range 0 to 1."
    ),
    "indecisive/loss_moved": (
        "(max - min) / mean of the logged loss over the last eight samples. 0 or more; of single batches as a rule, so noisy."
    ),
    "indecisive/burst_jitter": (
        "Share of the slice that flips a step, where the last three samples are of consecutive steps. Range 0 to 1; high: much "
        "flips at every step."
    ),
    "indecisive/burst_osc": (
        "indecisive/osc of three consecutive steps alone. Range 0 to 1; 1: units flip there and back at every step, which sparse "
        "samples do not see."
    ),
    "indecisive/flat": (
        "Share of the slice on which a unit's pre-activation is below 1 % of its root mean square, mean over the layer's units. "
        "Range 0 to 1; high: the least change moves the boundary far."
    ),
    "indecisive/sensitivity": (
        "Share of the slice that flipped since the last sample by the relative change of the unit's own map, median over the "
        "layer's units. 0 or more; high: small steps move the boundary far. Comparable across learning rates."
    ),
    "critical/edge": (
        "How near the layer's boundaries run to the edges of the target: their mean distance to the nearest edge, divided by that "
        "of all points of the slice. 0 or more; 0: all run on edges. Means something below critical/edge_chance."
    ),
    "critical/edge_chance": (
        "What critical/edge is on average when the layer's boundaries are turned about the slice's middle. 0 or more; 1 for "
        "straight lines evenly spread, lower for boundaries that are dense where the target has its edges."
    ),
    "critical/corner": (
        "How near boundaries of the layer come to the corners of the target: mean distance of a corner to the nearest boundary, "
        "divided by that of all points of the slice. 0 or more; 0: through each runs one. Means something below "
        "critical/corner_chance."
    ),
    "critical/corner_chance": (
        "What critical/corner is on average when the target's corners are turned about the slice's middle, as if the boundaries "
        "were. 0 or more; lower than 1 for boundaries that are dense where corners are."
    ),
    "target/accuracy": (
        "Share of the slice's grid points at which the class wins that the target has there; points without a class are left out. "
        "Range 0 to 1; high: learnt."
    ),
    "target/worst_part": (
        "Lowest recall of the target's connected parts, of those that cover 0.5 % of the slice or more. Range 0 to 1; near 0 "
        "beside a high target/accuracy: a small part is missed whole."
    ),
    "target/missed_parts": "Connected parts of the target of which less than half is found. 0 or more; high: much is missed.",
    "regions/exact": (
        "Number of regions into which the units of all layers up to this one cut the slice, exactly. 1 or more; high: the network "
        "bends in many places. Only where the lines are exact."
    ),
    "far/share": (
        "Share of the slice that is far from all samples marked on it, in input space. Range 0 to 1; 1: it nowhere comes near the "
        "data."
    ),
    "far/confident": (
        "Share of the slice that is far from all marked samples and on which the winner's chance is high (0.99 unless you gave "
        "another). Range 0 to far/share; high: firm opinions where no data speak."
    ),
    "ambiguity/tie": (
        "Share of the slice on which the winner's chance is less than 0.1 (or the eps that you gave) above the runner-up's. "
        "Range 0 to 1; high: the network decides by a hair."
    ),
    "ambiguity/none": "Share of the slice on which no output is above 0.5. Range 0 to 1; high: no class is likely there.",
    "ambiguity/overlap": (
        "Share of the slice on which two or more outputs are above 0.5, of a network that ends in sigmoids. Range 0 to 1; high: "
        "several classes at once."
    ),
    "copycat/functional": (
        "Those of copycat/pairs that are one function of the data too: on at the same side, and with a correlation of 0.95 or more "
        "between what they give for samples of the data. 0 or more; high: units that could be merged. A mirrored pair never counts."
    ),
    "dormant/never_on_data": (
        "Share of the layer's units that are on for none of the samples of the data that are looked at. Range 0 to 1; high: much "
        "of the layer does nothing for them. Not dead: they may be on for others, and come back."
    ),
    "dormant/last_on": (
        "Step of the last sample at which a unit was on for some of the samples of the data. -1 or more; -1: never so far."
    ),
    "dormant/saturated_data": (
        "Share of the layer's units and samples of the data at which the slope of the sigmoid or tanh is less than a hundredth of "
        "its largest. Range 0 to 1; high: hardly any gradient gets through."
    ),
    "dormant/never_predicted_data": ("Classes that win for none of the samples of the data that are looked at. Range 0 to C - 1."),
    "margin/median": (
        "Median distance in input space from samples of the data, along rays to samples of another class, to where the winning "
        "class changes. 0 or more; high: decisions lie far from the data. Rays without a change are left out: see margin/found."
    ),
    "margin/low": ("The same distance's 5th percentile. 0 or more; near 0: some samples are nearly decided otherwise."),
    "margin/found": (
        "Share of the rays between samples of the data on which the winning class changes at all. Range 0 to 1; low: the network "
        "tells few of the pairs apart."
    ),
}


def describe(name: str) -> str:
    """Return what the value called `name`, such as ``drift/shift/layer1``, is; empty for a metric that is not ours.

    >>> describe("copycat/pairs/layer1").partition(".")[0]
    'Number of pairs of comparable units whose likeness |phi| is at or above copycat/chance'
    """
    metric = "/".join(name.split("/")[:2])
    text = TEXTS.get(metric.removesuffix("_per_unit"), "")
    return f"One value a unit, over the steps. {text}" if metric.endswith("_per_unit") and text else text
