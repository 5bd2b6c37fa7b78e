"""Names of metrics in the manifest; people read them by :func:`kan_api.metric_names.shown_name`."""

from kan_api.metric_names import shown_name as shown_name

# Of an ensemble: single members on rows that they trained on, as "member_train_r2".
MEMBER = "member_train_"
# The scores by which a model is judged; of these, more is better.
EXPLAINED = ("accuracy", "deviance_explained", "r2")
