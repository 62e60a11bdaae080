"""Genetic Architect: a staged search over 24 hyper-parameters, and what decides whether a network is good.

- ``space``    the 24 keys, which of them have an effect, and the draws
- ``study``    the folder: settings, branches, their trials
- ``claims``   who works on which trial
- ``worker``   takes trial after trial and trains it
- ``sampler``  which point a trial is: a draw, or Optuna's suggestion
- ``reading``  trees, importance, interactions
- ``proposals``, ``stages``  narrowed spaces, forks, and stages that follow them
- ``journal``  the trials as an Optuna study
- ``best``     a trial's model, or one trained anew
- ``figures``, ``page``  the report
"""
