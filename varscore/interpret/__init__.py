"""What a network saw: contributions of single bases, where it looks, and what it would like best.

- ``subjects``    sequences, intervals and alleles as windows to explain; REF and ALT side by side
- ``targets``     the number that is explained: log2 odds, a probability or a value
- ``ism``         every substitution scored: the default
- ``paths``       the straight-path rule, complete through LSTM gates, attention, softmax and max-pooling (``deeplift``)
- ``gradients``   gradient times input, integrated gradients
- ``references``  what an input is compared with
- ``attention``   masks of networks that have them
- ``maximise``    the input that a network likes best
- ``logos``       pictures: letters as outlines, as SVG and PNG
- ``explain``     the run behind ``varscore explain``
- ``recurring``   motifs that recur in sequences, and where in them they stand
- ``named``       alleles that are named, such as ``<DEL>``
"""
