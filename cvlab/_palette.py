"""Colours and their meanings: one colour, one meaning, in plots, figures, tables and prose.

The eight colours are Okabe and Ito's, which people with the common kinds of colour blindness can tell apart.

References:
    Okabe, M. and Ito, K. (2008). Color universal design.
"""

OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "bluish green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "reddish purple": "#CC79A7",
}

ROLES = {
    "truth": OKABE_ITO["bluish green"],
    "prediction": OKABE_ITO["vermilion"],
    "anchor": OKABE_ITO["sky blue"],
    "ignored": "#8C8C8C",
    "reader": OKABE_ITO["orange"],
}
