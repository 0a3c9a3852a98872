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

# One colour for each kind of fruit in `cvlab.data.StillLife`. Ten colours are more than all readers can tell apart by
# hue alone, so they differ in lightness too, and plots always name the kind beside them.
KINDS = {
    "banana": "#F0E442",
    "apple": "#B2182B",
    "pear": "#B9C94A",
    "orange": "#F28522",
    "lemon": "#FFF7A8",
    "lime": "#1B7F3B",
    "plum": "#5B2A86",
    "strawberry": "#F4516C",
    "peach": "#F7B799",
    "kiwi": "#7A5230",
}
