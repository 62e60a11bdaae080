"""How well a network predicts: AUROC, AUPRC, recall and loss of every task, or how near its values are; alone or beside
other networks."""

from varscore.evaluate.curves import Curve, choose_tasks, draw_curve
from varscore.evaluate.flow import Examined, evaluate_model, predict_model, predict_rows, record
from varscore.evaluate.kinds import Scores, ValueScores
from varscore.evaluate.metrics import TaskScores, average_precisions, score_task, score_tasks
from varscore.evaluate.report import (
    MIN_POSITIVES,
    Comparison,
    Report,
    compare,
    evaluate_models,
    refuse_report,
    write_report,
)
from varscore.evaluate.tables import Figures, groups, published, summarise, table_text

__all__ = [
    "MIN_POSITIVES",
    "Comparison",
    "Curve",
    "Examined",
    "Figures",
    "Report",
    "Scores",
    "TaskScores",
    "ValueScores",
    "average_precisions",
    "choose_tasks",
    "compare",
    "draw_curve",
    "evaluate_model",
    "evaluate_models",
    "groups",
    "predict_model",
    "predict_rows",
    "published",
    "record",
    "refuse_report",
    "score_task",
    "score_tasks",
    "summarise",
    "table_text",
    "write_report",
]
