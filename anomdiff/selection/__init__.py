"""Which of several fitted detectors is better, mostly without labels.

- `criteria.py`: numbers to compare detectors by where nothing is labelled
- `comparison.py`: whether a challenger may replace a champion, by evidence and a rule
- `level_losses.py`: the denoising loss of rows at each noise level

In: fitted detectors and recent frames. Out: numbers, verdicts, small frames.
May import `detectors` and what lies below; the sweep, training runs and `jobs` import it.
It knows nothing of MLflow: `integrations.mlflow.registry` acts on a verdict.
"""

__all__: list[str] = []
